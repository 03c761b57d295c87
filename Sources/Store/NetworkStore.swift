internal import SystemIO

/// An operation on a store: reads the records, and returns a value with the changes to commit.
///
/// It has no other effect, because a store may run it again when a commit is lost to another writer. The records are
/// valid only until it returns.
public typealias StoreOperation<Value> =
  @Sendable (any NetworkRecords) throws(StoreError) -> (Value, [RecordChange])

/// Keeps the records of a network: devices, leases, invites, the network itself. For any thread.
public protocol NetworkStore: Sendable {
  /// Runs an operation and commits its changes, all or none. The operations of one thread keep their order.
  ///
  /// `then` is called once, when the changes are durable or the operation has failed; on any thread. Neither closure
  /// may take long, because other operations wait. Fails with `busy` if too many operations wait, with `closed` after
  /// `close`.
  func perform<Value: Sendable>(
    _ operation: @escaping StoreOperation<Value>, then: @escaping @Sendable (Result<Value, StoreError>) -> Void)

  var statistics: StoreStatistics { get }

  /// Refuses further operations, and returns once those that wait are done. A second call does nothing.
  func close()
}

extension NetworkStore {
  /// As `perform`, for an operation that changes nothing.
  public func read<Value: Sendable>(
    _ operation: @escaping @Sendable (any NetworkRecords) throws(StoreError) -> Value,
    then: @escaping @Sendable (Result<Value, StoreError>) -> Void
  ) {
    perform({ records throws(StoreError) in (try operation(records), []) }, then: then)
  }
}

extension NetworkStore {
  /// As `perform`, and waits until the operation is done. Not for a thread that serves others.
  public func performAndWait<Value: Sendable>(
    _ operation: @escaping StoreOperation<Value>
  ) throws(StoreError) -> Value {
    let outcome: PendingValue<Result<Value, StoreError>>
    do {
      outcome = try PendingValue()
    } catch {
      throw .failed("the store", detail: "there is nothing to wait with: \(error)")
    }
    perform(operation, then: outcome.put)
    return try outcome.wait().get()
  }

  /// As `read`, and waits for the result. Not for a thread that serves others.
  public func readAndWait<Value: Sendable>(
    _ operation: @escaping @Sendable (any NetworkRecords) throws(StoreError) -> Value
  ) throws(StoreError) -> Value {
    try performAndWait { records throws(StoreError) in (try operation(records), []) }
  }
}

/// What a store has done since it was opened.
public struct StoreStatistics: Equatable, Sendable {
  /// Operations that were run, also those that failed.
  public internal(set) var operations = 0
  /// The transactions in which they ran.
  public internal(set) var transactions = 0
  /// Transactions that changed something, and so waited for the disk.
  public internal(set) var writes = 0
  /// Transactions whose commit failed.
  public internal(set) var failures = 0
  /// Operations that wait now.
  public internal(set) var waiting = 0
}
