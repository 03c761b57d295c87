internal import SystemIO
internal import SystemPackage
internal import Wire

/// The frames that wait for one destination, and their memory. Three things leave in this order: what is committed (begun
/// on the wire, or chosen to be next: never dropped), control frames, and data frames by the rule of `FairQueue`.
struct Backlog: ~Copyable {
  private var store: CellStore
  private var committed = FrameList()
  /// How much of the first committed frame is on the wire.
  private var committedSent = 0
  private var control = FrameList()
  private var fair = FairQueue()
  private var vectors = IOVectors(capacity: 128)

  /// Behind the data's limit there is room for the rest of one frame, for a frame chosen ahead, and for control frames.
  private static let restCells = 2 * CellStore.cells(for: FrameHeader.maximumFrame)
  private static let controlCells = 256
  /// Chosen frames cannot be dropped any more, so few are chosen ahead: one, or small ones of this many bytes together.
  private static let commitment = 16 << 10

  /// Room for `limit` bytes of data frames, in cells of 2 KiB.
  init(limit: Int) {
    store = CellStore(cells: limit / CellStore.cellSize + Self.restCells + Self.controlCells)
  }

  var isEmpty: Bool { committed.isEmpty && control.isEmpty && fair.isEmpty }

  var statistics: SendQueueStatistics {
    var result = SendQueueStatistics()
    result.bytes = committed.bytes - committedSent + control.bytes + fair.bytes
    result.delay = .nanoseconds(Int64(clamping: fair.lastDelay))
    result.lateDrops = fair.lateDrops
    result.overflowDrops = fair.overflowDrops
    return result
  }

  /// Adds a data frame; at the limit the longest flow loses its oldest frames.
  mutating func add(_ frame: UnsafeRawBufferPointer, flow: UInt16, at now: Instant) {
    let needed = CellStore.cells(for: frame.count) + Self.restCells + Self.controlCells
    guard makeRoom(needed) else { return fair.countOverflow() }
    fair.enqueue(store.add(frame, at: now), flow: flow, in: store)
  }

  /// Adds the rest of a frame whose beginning is on the wire. Nothing else may be committed.
  mutating func addRest(_ rest: UnsafeRawBufferPointer, at now: Instant) {
    precondition(committed.isEmpty)
    committed.append(store.add(rest, at: now), in: store)
    committedSent = 0
  }

  /// Adds a control frame. False: so many wait that the destination does not read at all.
  mutating func addControl(_ frame: UnsafeRawBufferPointer, at now: Instant) -> Bool {
    guard makeRoom(CellStore.cells(for: frame.count) + Self.restCells) else { return false }
    control.append(store.add(frame, at: now), in: store)
    return true
  }

  /// Sends until the socket takes no more or nothing waits. Returns the bytes sent.
  mutating func flush(to socket: borrowing Descriptor, at now: Instant) throws(Errno) -> Int {
    var total = 0
    while true {
      commit(at: now)
      guard !committed.isEmpty, let sent = try sendCommitted(to: socket) else { return total }
      total += sent
    }
  }

  private mutating func makeRoom(_ cells: Int) -> Bool {
    while store.freeCells < cells {
      guard fair.dropFromLongest(in: &store) else { return false }
    }
    return true
  }

  private mutating func commit(at now: Instant) {
    while committed.bytes - committedSent < Self.commitment {
      if !control.isEmpty {
        committed.append(control.removeFirst(in: store), in: store)
      } else if let frame = fair.dequeue(at: now, in: &store) {
        committed.append(frame, in: store)
      } else {
        return
      }
    }
  }

  private mutating func sendCommitted(to socket: borrowing Descriptor) throws(Errno) -> Int? {
    vectors.removeAll()
    var frame = committed.first
    var skipped = committedSent
    while frame != CellStore.none, !vectors.isFull {
      store.gather(frame, skipping: skipped, into: &vectors)
      skipped = 0
      frame = store.next(of: frame)
    }
    guard let sent = try vectors.send(to: socket) else { return nil }
    committedSent += sent
    while !committed.isEmpty, committedSent >= store.length(of: committed.first) {
      committedSent -= store.length(of: committed.first)
      store.remove(committed.removeFirst(in: store))
    }
    return sent
  }
}
