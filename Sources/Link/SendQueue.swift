internal import Synchronization
internal import SystemIO
internal import SystemPackage

/// The frames that wait for one destination because its socket did not take them at once, or was not to. It has memory
/// only while something waits, and until `trim`. Guarded by the connection's lock.
struct SendQueue: ~Copyable {
  /// How many bytes of data frames may wait; a new limit applies once the queue is empty.
  var limit: Int
  private let memory: SendMemory?
  private var backlog: Backlog?
  /// The limit of the present backlog.
  private var backlogLimit = 0
  /// Drops that earlier backlogs counted.
  private var pastLateDrops = 0
  private var pastOverflowDrops = 0

  /// At most `limit` bytes of data frames wait, and fewer where `memory` has no more for them.
  init(limit: Int, memory: SendMemory?) {
    self.limit = limit
    self.memory = memory
  }

  var isEmpty: Bool { read(ifNone: true) { $0.isEmpty } }

  /// How many bytes precede all data frames that can still be dropped.
  var urgentBytes: Int { read(ifNone: 0) { $0.urgentBytes } }

  var statistics: SendQueueStatistics {
    var result = read(ifNone: SendQueueStatistics()) { $0.statistics }
    result.lateDrops += pastLateDrops
    result.overflowDrops += pastOverflowDrops
    return result
  }

  private func read<Value>(ifNone empty: Value, _ body: (borrowing Backlog) -> Value) -> Value {
    switch backlog {
    case nil: empty
    case .some(let backlog): body(backlog)
    }
  }

  mutating func add(_ frame: UnsafeRawBufferPointer, flow: UInt16, at now: Instant) {
    renewBacklog()
    if backlog == nil, let memory, !memory.take(Backlog.fixedSize, holding: 0) {
      pastOverflowDrops += 1
      return
    }
    makeBacklog(isPaid: true)
    backlog!.add(frame, flow: flow, at: now)
  }

  /// Adds the rest of a frame whose beginning is on the wire.
  mutating func addRest(_ rest: UnsafeRawBufferPointer, at now: Instant) {
    renewBacklog()
    makeBacklog()
    backlog!.addRest(rest, at: now)
  }

  /// Adds a control frame. False: so many wait that the destination does not read at all.
  mutating func addControl(_ frame: UnsafeRawBufferPointer, at now: Instant) -> Bool {
    renewBacklog()
    makeBacklog()
    return backlog!.addControl(frame, at: now)
  }

  /// Sends until the socket takes no more, nothing waits, or the kernel holds `unsentLimit` unsent bytes. Returns the
  /// bytes sent.
  mutating func flush(to socket: borrowing Descriptor, at now: Instant, unsentLimit: Int? = nil) throws(Errno) -> Int {
    try backlog?.flush(to: socket, at: now, unsentLimit: unsentLimit) ?? 0
  }

  /// Returns the memory if nothing waits.
  mutating func trim() {
    if isEmpty { removeAll() }
  }

  /// Drops all frames, without counting them, and returns the memory.
  mutating func removeAll() {
    guard let old = backlog.take() else { return }
    pastLateDrops += old.statistics.lateDrops
    pastOverflowDrops += old.statistics.overflowDrops
  }

  /// `isPaid`: the memory of a new backlog has been taken already.
  private mutating func makeBacklog(isPaid: Bool = false) {
    guard backlog == nil else { return }
    if !isPaid { memory?.takeAnyway(Backlog.fixedSize) }
    backlog = Backlog(limit: limit, memory: memory)
    backlogLimit = limit
  }

  private mutating func renewBacklog() {
    if limit != backlogLimit, isEmpty { removeAll() }
  }
}

/// The state of a send queue.
public struct SendQueueStatistics: Sendable, Equatable {
  /// Bytes that wait now.
  public var bytes = 0
  /// How long the last data frame waited before it was sent.
  public var delay = Duration.zero
  /// Data frames dropped because they waited too long.
  public var lateDrops = 0
  /// Data frames dropped because the queue was full.
  public var overflowDrops = 0

  public init() {}
}

/// The memory that many send queues share, so that many destinations that do not read cannot take all of it. For any
/// thread.
///
/// A queue may have as much as is left for all others (the dynamic thresholds of Choudhury and Hahne, 1998): a few busy
/// ones get all that they want, many get equal shares, and some is always left for the next.
public final class SendMemory: Sendable {
  /// In bytes. Frames that must not be dropped exceed it: a few control frames, and the rest of a frame whose beginning
  /// is on the wire.
  public let limit: Int

  private let taken = Atomic(0)
  private let refused = Atomic(0)

  public init(limit: Int) {
    self.limit = limit
  }

  /// How many bytes the queues have now.
  public var used: Int { taken.load(ordering: .relaxed) }

  /// How often a queue was refused memory.
  public var refusals: Int { refused.load(ordering: .relaxed) }

  /// Takes memory for a queue that has `held` bytes. False: it may not have more.
  func take(_ bytes: Int, holding held: Int) -> Bool {
    // Two threads at once may exceed the limit together, by one request each.
    guard held + bytes <= limit - used else {
      refused.add(1, ordering: .relaxed)
      return false
    }
    takeAnyway(bytes)
    return true
  }

  func takeAnyway(_ bytes: Int) {
    taken.add(bytes, ordering: .relaxed)
  }

  func giveBack(_ bytes: Int) {
    taken.subtract(bytes, ordering: .relaxed)
  }
}
