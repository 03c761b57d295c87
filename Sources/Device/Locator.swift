internal import SystemIO
internal import Wire

/// Finds out which routers and outer address this device is behind, by a route trace towards the relay. Owned by the
/// device's thread.
public final class Locator {
  // Set once.
  private let events: EventLoop
  private let onChange: (Orchestration.Location) -> Void

  private(set) var location: Orchestration.Location?
  /// Counts the traces; the result of an earlier one does not count.
  private var trace = 0

  /// How long routers have to answer.
  private static let patience = Duration.seconds(2)

  /// `onChange` is called on the loop with the first result, and with each different one.
  init(on events: EventLoop, onChange: @escaping (Orchestration.Location) -> Void) {
    self.events = events
    self.onChange = onChange
  }

  /// There is a connection from `local` to `relay`, which the relay sees come from `outer`.
  func trace(from local: SocketAddress, to relay: SocketAddress, outer: String?) {
    trace += 1
    let number = trace
    let outer = outer.flatMap { Orchestration.isAddress($0) ? $0 : nil }
    let events = events
    let reference = LoopBound(self)
    SystemThread.detach(name: "route-trace") {
      let routers = RouteTrace.routers(
        towards: relay, limit: Orchestration.maximumHops, until: Instant.now().advanced(by: Self.patience))
      let hops = Orchestration.Location.privateHops(routers.map(\.hostWithoutZone))
      let location = Orchestration.Location(outer: outer, local: local.hostWithoutZone, hops: hops)
      events.post { reference.value.found(location, number) }
    }
  }

  private func found(_ location: Orchestration.Location, _ number: Int) {
    guard number == trace, location != self.location else { return }
    self.location = location
    onChange(location)
  }
}

extension SocketAddress {
  /// The host alone; a link-local address's zone means nothing elsewhere.
  fileprivate var hostWithoutZone: String { String(host.prefix { $0 != "%" }) }
}
