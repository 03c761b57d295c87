public import Config
public import Control
internal import Logging
internal import Metrics
internal import SystemIO
internal import SystemPackage

/// Gives the daemon's metrics out by HTTP, at the addresses of `metrics.listen`. Owned by the main thread, on which nothing of
/// the data path is.
public final class MetricsServer {
  /// Gives what is counted now to `reply`, once, on any thread.
  public typealias Collect = (_ reply: @escaping @Sendable (MetricsReport) -> Void) -> Void

  // Set once.
  private let daemon: Daemon
  private let collect: Collect

  // Owned by the main thread.
  private var listeners: [Listener] = []
  /// Where it is to listen, and what keeps it from that, as the log has it.
  private var wanted: [ServerAddress] = []
  private var complaints: Set<String> = []
  private var isRetryDue = false
  private var connections: [ObjectIdentifier: MetricsConnection] = [:]
  /// Who waits for what is being collected.
  private var waiting: [(MetricsReport) -> Void] = []
  private var last: (report: MetricsReport, time: Instant)?

  /// Beyond that, the connection that needs its place least gives way; see `MetricsConnection.claim`.
  private static let maximumConnections = 32
  /// Who asks again within this time gets the same again, so that nobody can keep the daemon busy.
  private static let freshness = Duration.milliseconds(250)
  /// Connections that wait in the kernel. Large, because what a flood puts there stands before everybody else.
  private static let backlog: CInt = 1024
  /// How long to wait until an address that could not be had is tried again.
  private static let retryInterval = Duration.seconds(10)

  public init(_ daemon: Daemon, _ collect: @escaping Collect) {
    self.daemon = daemon
    self.collect = collect
  }

  /// Listens at these addresses and at no others; returns those where it does. It goes on without the rest, says so,
  /// and tries them again from time to time. To be called on the main thread, also before there are others.
  public func serve(at addresses: [ServerAddress]) -> [ServerAddress] {
    wanted = addresses
    complaints = []
    for listener in listeners where !addresses.contains(listener.setting) { listener.stop() }
    listeners.removeAll { !addresses.contains($0.setting) }
    listenAtRest()
    return served
  }

  private var served: [ServerAddress] {
    wanted.filter { address in listeners.contains { $0.setting == address } }
  }

  private func listenAtRest() {
    for address in wanted where !listeners.contains(where: { $0.setting == address }) { listen(at: address) }
    guard served != wanted, !isRetryDue else { return }
    isRetryDue = true
    daemon.events.schedule(after: Self.retryInterval) { [weak self] in
      guard let self else { return }
      isRetryDue = false
      let former = served
      listenAtRest()
      if served != former { daemon.updateSettingsInForce { $0.metrics.listen = self.served } }
    }
  }

  public func stop() {
    wanted = []
    for listener in listeners { listener.stop() }
    listeners = []
    for connection in Array(connections.values) { connection.close() }
  }

  private func listen(at setting: ServerAddress) {
    guard let address = SocketAddress(numeric: setting.host, port: setting.port) else {
      return warn(setting, "this host has no such address")
    }
    do {
      let socket = try TCPListener(on: address, backlog: Self.backlog, mayAwaitAddress: true)
      let isAwaiting = socket.isAwaitingAddress
      let listener = Listener(self, setting, socket)
      listener.registration = try daemon.events.register(
        listener.socket.descriptor, for: .readable, handler: listener)
      listeners.append(listener)
      announce(listener.socket.address, isAwaiting: isAwaiting)
    } catch {
      switch error {
      case .addressInUse:
        warn(
          setting,
          "another program listens there, perhaps the other daemon of this suite; give each a file of its own (--config) with "
            + "another port")
      case .permissionDenied: warn(setting, "ports below 1024 are for root; choose another")
      case .addressFamilyNotSupported: warn(setting, "the kernel of this host has no IPv6")
      default: warn(setting, error.description)
      }
    }
  }

  private func announce(_ address: SocketAddress, isAwaiting: Bool) {
    // Later: the log begins a thread, and there may have to be none yet.
    daemon.events.post { [logger = daemon.logger] in
      logger.info(
        """
        metrics are at http://\(address)\(MetricsPage.path)\(isAwaiting ? " once this host has that address" : "")
        """)
      guard !address.isLoopback else { return }
      logger.warning(
        """
        whoever reaches \(address) can read the metrics, device IDs among them, and everybody on the way too: there is neither a \
        password nor encryption; write a loopback address to metrics.listen, or have a firewall let in only who collects them
        """)
    }
  }

  private func warn(_ setting: ServerAddress, _ why: String) {
    let line =
      "metrics cannot be given at \(setting), and this program goes on without, and tries again from time to time: \(why); or "
      + "change metrics.listen, then reload (mnedc-ctl reload)"
    if complaints.insert(line).inserted { daemon.warnLater(line) }
  }

  // MARK: Requests

  /// Gives the metrics to `reply`, on the main thread. All who ask while they are collected get the same.
  private func report(_ reply: @escaping (MetricsReport) -> Void) {
    if let last, Instant.now().since(last.time) < Self.freshness { return reply(last.report) }
    waiting.append(reply)
    guard waiting.count == 1 else { return }
    let reference = LoopBound(self)
    collect { [events = daemon.events] report in
      events.post {
        let server = reference.value
        server.last = (report, .now())
        let waiting = server.waiting
        server.waiting = []
        for reply in waiting { reply(report) }
      }
    }
  }

  private var isFull: Bool { connections.count >= Self.maximumConnections }

  /// The connection that gives way to another; `nil` if all need their places just now.
  private var leastClaim: MetricsConnection? {
    let claims = connections.values.compactMap { connection in
      connection.claim.map { (claim: $0, connection: connection) }
    }
    return claims.min { ($0.claim, $0.connection.since) < ($1.claim, $1.connection.since) }?.connection
  }

  private func take(_ socket: consuming TCPSocket) {
    if isFull { leastClaim?.close() }
    let connection = MetricsConnection(
      socket.takeDescriptor(), on: daemon.events, report: { [unowned self] in report($0) },
      onEnd: { [unowned self] in connections[ObjectIdentifier($0)] = nil })
    connections[ObjectIdentifier(connection)] = connection
    connection.start()
  }

  private final class Listener: EventHandler {
    private unowned let server: MetricsServer
    /// What the configuration calls it.
    let setting: ServerAddress
    let socket: TCPListener
    var registration: Registration?

    init(_ server: MetricsServer, _ setting: ServerAddress, _ socket: consuming TCPListener) {
      self.server = server
      self.setting = setting
      self.socket = socket
    }

    func handle(_ events: Events) {
      do {
        for _ in 0..<ConnectionBatch.size {
          guard !server.isFull || server.leastClaim != nil else { return pause(for: ConnectionBatch.pauseForRoom) }
          guard let socket = try socket.accept() else { return }
          server.take(socket)
        }
      } catch {
        // Without descriptors or memory: those who wait are taken later.
        pause(for: .seconds(1))
      }
    }

    private func pause(for time: Duration) {
      setInterest([])
      server.daemon.events.schedule(after: time) { [weak self] in self?.setInterest(.readable) }
    }

    private func setInterest(_ interest: Events) {
      if let registration { server.daemon.events.setInterest(interest, of: socket.descriptor, registration) }
    }

    func stop() {
      if let registration { server.daemon.events.deregister(socket.descriptor, registration) }
      registration = nil
    }
  }
}
