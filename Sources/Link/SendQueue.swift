internal import SystemIO
internal import SystemPackage

/// What waits for one destination because its socket did not take it at once, or was not to; it has memory only while
/// something waits, and until `trim`. Guarded by the connection's lock.
struct SendQueue: ~Copyable {
  /// At most so many bytes of data frames will wait; another limit counts from when nothing has waited on.
  var limit: Int
  private let memory: SendMemory?
  private var backlog: Backlog?
  /// The limit that the backlog was made for.
  private var backlogLimit = 0
  /// Drops counted by backlogs that are gone.
  private var pastLateDrops = 0
  private var pastOverflowDrops = 0

  /// At most `limit` bytes of data frames will wait, and fewer where `memory` has no more for them.
  init(limit: Int, memory: SendMemory?) {
    self.limit = limit
    self.memory = memory
  }

  var isEmpty: Bool {
    switch backlog {
    case nil: true
    case .some(let backlog): backlog.isEmpty
    }
  }

  /// How many bytes go before all data frames that can still be dropped.
  var urgentBytes: Int {
    switch backlog {
    case nil: 0
    case .some(let backlog): backlog.urgentBytes
    }
  }

  var statistics: SendQueueStatistics {
    var result: SendQueueStatistics
    switch backlog {
    case nil: result = SendQueueStatistics()
    case .some(let backlog): result = backlog.statistics
    }
    result.lateDrops += pastLateDrops
    result.overflowDrops += pastOverflowDrops
    return result
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

  mutating func addRest(_ rest: UnsafeRawBufferPointer, at now: Instant) {
    renewBacklog()
    makeBacklog()
    backlog!.addRest(rest, at: now)
  }

  mutating func addControl(_ frame: UnsafeRawBufferPointer, at now: Instant) -> Bool {
    renewBacklog()
    makeBacklog()
    return backlog!.addControl(frame, at: now)
  }

  /// Sends until the socket takes no more or nothing waits, or the kernel has `unsentLimit` bytes that it has not sent.
  /// Returns the bytes sent.
  mutating func flush(to socket: borrowing Descriptor, at now: Instant, unsentLimit: Int? = nil) throws(Errno) -> Int {
    guard backlog != nil else { return 0 }
    return try backlog!.flush(to: socket, at: now, unsentLimit: unsentLimit)
  }

  /// Gives the memory back if nothing waits.
  mutating func trim() {
    if isEmpty { removeAll() }
  }

  /// Drops what waits, without counting it, and gives the memory back.
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

  /// Another limit counts from when nothing waits.
  private mutating func renewBacklog() {
    if limit != backlogLimit, isEmpty { removeAll() }
  }
}

/// How a send queue does.
public struct SendQueueStatistics: Sendable, Equatable {
  /// Bytes that wait now.
  public var bytes = 0
  /// How long the last data frame that went out had waited.
  public var delay = Duration.zero
  /// Data frames dropped because they waited too long.
  public var lateDrops = 0
  /// Data frames dropped because the queue was full.
  public var overflowDrops = 0

  public init() {}
}
