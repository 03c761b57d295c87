internal import Synchronization
internal import SystemIO
internal import SystemPackage

/// An operation that waits for the store's thread.
struct PostedOperation: Sendable {
  /// Does the work within an open transaction, and returns the outcome.
  let carryOut: @Sendable (borrowing Transaction) -> Outcome
  /// Reports that it was not carried out.
  let refuse: @Sendable (StoreError) -> Void

  struct Outcome {
    /// Why it failed, if it did.
    let error: StoreError?
    /// Reports the result to the caller of `perform`; to be called after the commit.
    let tell: () -> Void
  }
}

/// The operations that wait, bounded. For any thread; `next` and `count` are the store's thread's.
final class OperationQueue: Sendable {
  // Set once.
  private let limit: Int
  private let hasNews: WakeUp

  // Guarded by its lock.
  private let state = Mutex(State())

  private struct State {
    var waiting: [PostedOperation] = []
    var isClosed = false
    var statistics = StoreStatistics()
  }

  init(limit: Int) throws(Errno) {
    self.limit = limit
    hasNews = try WakeUp()
  }

  /// Adds an operation, or says why not.
  func post(_ operation: PostedOperation) -> StoreError? {
    let (error, isFirst) = state.withLock { state -> (StoreError?, Bool) in
      if state.isClosed { return (.closed, false) }
      if state.waiting.count >= limit { return (.busy, false) }
      state.waiting.append(operation)
      return (nil, state.waiting.count == 1)
    }
    if isFirst { hasNews.raise() }
    return error
  }

  func close() {
    state.withLock { $0.isClosed = true }
    hasNews.raise()
  }

  /// Waits for operations and takes all of them; empty if there are none until `deadline`, `nil` once the queue is
  /// closed.
  func next(until deadline: Instant?) -> [PostedOperation]? {
    while true {
      let (operations, isClosed) = state.withLock { state in
        defer { state.waiting = [] }
        return (state.waiting, state.isClosed)
      }
      if !operations.isEmpty { return operations }
      if isClosed { return nil }
      guard hasNews.wait(until: deadline ?? Instant.now().advanced(by: .seconds(3600))) else { return [] }
      hasNews.lower()
    }
  }

  var statistics: StoreStatistics {
    state.withLock { state in
      var statistics = state.statistics
      statistics.waiting = state.waiting.count
      return statistics
    }
  }

  func count(_ change: (inout StoreStatistics) -> Void) {
    state.withLock { change(&$0.statistics) }
  }
}
