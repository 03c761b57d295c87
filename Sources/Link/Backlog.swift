internal import SystemIO
internal import SystemPackage
internal import Wire

/// The frames that wait for one destination, and their memory. They leave in this order: committed frames (begun on the
/// wire, or chosen as the next: never dropped), control frames, and data frames by the rule of `FairQueue`.
struct Backlog: ~Copyable {
  private var store: CellStore
  private var committed = FrameList()
  /// How much of the first committed frame is on the wire.
  private var committedSent = 0
  private var control = FrameList()
  private var fair = FairQueue()
  private var vectors = IOVectors(capacity: 128)

  private let memory: SendMemory?
  /// How many cells of `memory` this queue has, besides `fixedSize` bytes.
  private var granted = 0

  /// Beyond the data's limit there is room for the rest of one frame, for one committed frame, and for control frames.
  private static let restCells = 2 * CellStore.cells(for: FrameHeader.maximumFrame)
  private static let controlCells = 256
  /// Committed frames cannot be dropped, so few are committed: one, or small ones of this many bytes together.
  private static let commitment = 16 << 10
  /// About the size of an empty queue, in bytes.
  static let fixedSize = 24 << 10
  /// Memory is taken by so many cells at once, so that few frames cost an atomic operation.
  private static let grantedAtOnce = 8
  /// How many cells control frames may take beyond the memory's limit.
  private static let overdraft = 32

  /// Room for `limit` bytes of data frames. The caller has taken `fixedSize` bytes of `memory` for this queue.
  init(limit: Int, memory: SendMemory?) {
    store = CellStore(cells: limit / CellStore.cellSize + Self.restCells + Self.controlCells)
    self.memory = memory
  }

  deinit {
    memory?.giveBack(held)
  }

  var isEmpty: Bool { committed.isEmpty && control.isEmpty && fair.isEmpty }

  /// How many bytes are committed or of control frames.
  var urgentBytes: Int { committed.bytes - committedSent + control.bytes }

  var statistics: SendQueueStatistics {
    var result = SendQueueStatistics()
    result.bytes = urgentBytes + fair.bytes
    result.delay = .nanoseconds(Int64(clamping: fair.lastDelay))
    result.lateDrops = fair.lateDrops
    result.overflowDrops = fair.overflowDrops
    return result
  }

  /// Adds a data frame. At the limit, and without memory for more, the longest flow loses its oldest frames.
  mutating func add(_ frame: UnsafeRawBufferPointer, flow: UInt16, at now: Instant) {
    let cells = CellStore.cells(for: frame.count)
    guard makeRoom(cells + Self.restCells + Self.controlCells), makeMemory(cells) else { return fair.countOverflow() }
    fair.enqueue(store.add(frame, at: now), flow: flow, in: store)
  }

  /// Precondition: nothing else is committed.
  mutating func addRest(_ rest: UnsafeRawBufferPointer, at now: Instant) {
    precondition(committed.isEmpty)
    takeMemory(CellStore.cells(for: rest.count))
    committed.append(store.add(rest, at: now), in: store)
    committedSent = 0
  }

  mutating func addControl(_ frame: UnsafeRawBufferPointer, at now: Instant) -> Bool {
    let cells = CellStore.cells(for: frame.count)
    guard makeRoom(cells + Self.restCells) else { return false }
    if !makeMemory(cells) {
      guard control.isEmpty || control.cells + cells <= Self.overdraft else { return false }
      takeMemory(cells)
    }
    control.append(store.add(frame, at: now), in: store)
    return true
  }

  mutating func flush(to socket: borrowing Descriptor, at now: Instant, unsentLimit: Int?) throws(Errno) -> Int {
    var total = 0
    while true {
      var room = Int.max
      if let unsentLimit {
        room = unsentLimit - socket.unsent()
        // The kernel reports a socket writable while less than half of the limit is unsent, before Linux 5.0 while less
        // than all of it is. Send something each time, or the loop would be called again at once.
        guard room > (total == 0 ? 0 : unsentLimit / 2) else { return total }
      }
      commit(at: now, room)
      guard !committed.isEmpty, let sent = try sendCommitted(to: socket, room) else { return total }
      total += sent
    }
  }

  private mutating func makeRoom(_ cells: Int) -> Bool {
    while store.freeCells < cells {
      guard fair.dropFromLongest(in: &store) else { return false }
    }
    return true
  }

  // MARK: Memory

  private var held: Int { Self.fixedSize + granted * CellStore.cellSize }

  /// How many cells to take from `memory` before `cells` more can be used, rounded up.
  private func missingCells(for cells: Int) -> Int {
    let missing = cells - (granted - store.usedCells)
    return max(0, missing + Self.grantedAtOnce - 1) / Self.grantedAtOnce * Self.grantedAtOnce
  }

  /// Takes memory for `cells` more cells, and drops waiting frames if there is none.
  private mutating func makeMemory(_ cells: Int) -> Bool {
    guard let memory else { return true }
    while true {
      let missing = missingCells(for: cells)
      if missing == 0 { return true }
      if memory.take(missing * CellStore.cellSize, holding: held) {
        granted += missing
        return true
      }
      guard fair.dropFromLongest(in: &store) else { return false }
    }
  }

  private mutating func takeMemory(_ cells: Int) {
    guard let memory else { return }
    let missing = missingCells(for: cells)
    guard missing > 0 else { return }
    memory.takeAnyway(missing * CellStore.cellSize)
    granted += missing
  }

  private mutating func commit(at now: Instant, _ room: Int) {
    while committed.bytes - committedSent < min(Self.commitment, room) {
      if !control.isEmpty {
        committed.append(control.removeFirst(in: store), in: store)
      } else if let frame = fair.dequeue(at: now, in: &store) {
        committed.append(frame, in: store)
      } else {
        return
      }
    }
  }

  private mutating func sendCommitted(to socket: borrowing Descriptor, _ room: Int) throws(Errno) -> Int? {
    vectors.removeAll()
    var room = room
    var frame = committed.first
    var skipped = committedSent
    while frame != CellStore.none, room > 0, !vectors.isFull {
      store.gather(frame, skipping: skipped, into: &vectors, room: &room)
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
