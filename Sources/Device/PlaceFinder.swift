internal import SystemIO
internal import Wire

/// Finds out where this device sits: behind which addresses and routers. Owned by the device's thread.
public final class PlaceFinder {
  // Set once.
  private let events: EventLoop
  private let onChange: (Orchestration.Place) -> Void

  private(set) var place: Orchestration.Place?
  /// Counts the connections; what is found out about an earlier one is of no use.
  private var generation = 0

  /// How long routers have to answer.
  private static let patience = Duration.seconds(2)

  /// `onChange` is called on the loop, at first and when something else is found.
  init(on events: EventLoop, onChange: @escaping (Orchestration.Place) -> Void) {
    self.events = events
    self.onChange = onChange
  }

  /// There is a connection from `local` to `relay`, which the relay sees come from `outer`, as it says.
  func look(from local: SocketAddress, to relay: SocketAddress, outer: String?) {
    generation += 1
    let generation = generation
    let outer = outer.flatMap { Orchestration.isAddress($0) ? $0 : nil }
    let events = events
    let reference = LoopBound(self)
    SystemThread.detach(name: "route-trace") {
      let routers = RouteTrace.routers(
        towards: relay, limit: Orchestration.maximumHops, until: Instant.now().advanced(by: Self.patience))
      let hops = Orchestration.Place.privateHops(routers.map(\.hostWithoutZone))
      let place = Orchestration.Place(outer: outer, local: local.hostWithoutZone, hops: hops)
      events.post { reference.value.found(place, generation) }
    }
  }

  private func found(_ place: Orchestration.Place, _ generation: Int) {
    guard generation == self.generation, place != self.place else { return }
    self.place = place
    onChange(place)
  }
}

extension SocketAddress {
  /// The host alone; a link-local address's zone means nothing elsewhere.
  fileprivate var hostWithoutZone: String { String(host.prefix { $0 != "%" }) }
}
