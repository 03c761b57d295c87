internal import Link
internal import Synchronization

/// What all loops share of what there is only so much of. For any thread.
final class RelayBounds: Sendable {
  /// The send queues' memory.
  let sendMemory: SendMemory
  let connections: ConnectionLimit

  init(_ settings: RelaySettings) {
    sendMemory = SendMemory(limit: settings.memory)
    connections = ConnectionLimit(settings.connections)
  }
}

/// How many connections there may be at once, so that descriptors are left for the local socket and the state forwardingTable. For any
/// thread.
final class ConnectionLimit: Sendable {
  let maximum: Int
  private let count = Atomic(0)

  init(_ maximum: Int) {
    self.maximum = maximum
  }

  var isReached: Bool { count.load(ordering: .relaxed) >= maximum }

  /// Counts a connection for as long as the result is kept: until its descriptor is closed.
  func occupy() -> ConnectionPlace { ConnectionPlace(self) }

  fileprivate func add(_ number: Int) {
    count.add(number, ordering: .relaxed)
  }
}

final class ConnectionPlace: Sendable {
  private let limit: ConnectionLimit

  fileprivate init(_ limit: ConnectionLimit) {
    self.limit = limit
    limit.add(1)
  }

  deinit {
    limit.add(-1)
  }
}
