public import Config
public import Control
public import Logging
public import SystemIO
internal import SystemPackage

/// Gives the daemon's metrics out by HTTP. Owned by the main thread, which does nothing of the data path.
public final class MetricsServer {
  /// Gives what is counted now to `reply`, once, on any thread.
  public typealias Collect = (_ reply: @escaping @Sendable (MetricsReport) -> Void) -> Void

  // Set once.
  private let events: EventLoop
  private let logger: Logger
  private let collect: Collect
  /// Told where the server listens, when that has changed without a call of `serve`.
  private let onChange: ([ServerAddress]) -> Void

  // Owned by the main thread.
  private var wanted: [ServerAddress] = []
  private var listeners: [(address: ServerAddress, listener: StreamListener<MetricsConnection>)] = []
  private var complaints: Set<String> = []
  private var isRetryDue = false
  private lazy var server = StreamServer<MetricsConnection>(on: events, maximum: 32) { [unowned self] socket, _ in
    MetricsConnection(socket, on: events) { [weak self] reply in self?.report(reply) }
  }
  /// The requests that wait for what is being collected.
  private var waiting: [(MetricsReport) -> Void] = []
  private var last: (report: MetricsReport, time: Instant)?

  /// A request within this time after another gets the same metrics, so that no client keeps the daemon busy.
  private static let freshness = Duration.milliseconds(250)
  /// Connections that wait in the kernel. Large, because the connections of a flood stand before all others.
  private static let backlog: CInt = 1024
  /// The time until the next attempt to listen at an address.
  private static let retryInterval = Duration.seconds(10)

  public init(
    on events: EventLoop, logger: Logger, onChange: @escaping ([ServerAddress]) -> Void, collect: @escaping Collect
  ) {
    self.events = events
    self.logger = logger
    self.onChange = onChange
    self.collect = collect
  }

  /// Listens at these addresses and at no others. It warns of those that it cannot have, and tries them again from time
  /// to time. To be called on the main thread, also before there are others.
  public func serve(at addresses: [ServerAddress]) {
    wanted = addresses
    complaints = []
    for (address, listener) in listeners where !addresses.contains(address) { server.close(listener) }
    listeners.removeAll { !addresses.contains($0.address) }
    listenAtRest()
  }

  /// The addresses where it listens.
  public var served: [ServerAddress] { wanted.filter(isServed) }

  private func isServed(_ address: ServerAddress) -> Bool { listeners.contains { $0.address == address } }

  private func listenAtRest() {
    for address in wanted where !isServed(address) { listen(at: address) }
    guard served != wanted, !isRetryDue else { return }
    isRetryDue = true
    events.schedule(after: Self.retryInterval) { [weak self] in
      guard let self else { return }
      isRetryDue = false
      let former = served
      listenAtRest()
      if served != former { onChange(served) }
    }
  }

  public func stop() {
    wanted = []
    listeners = []
    server.stop()
  }

  private func listen(at address: ServerAddress) {
    guard let numeric = SocketAddress(numeric: address.host, port: address.port) else {
      return warn(address, "this host has no such address")
    }
    do {
      let socket = try TCPListener(on: numeric, backlog: Self.backlog, mayAwaitAddress: true)
      let (bound, isAwaiting) = (socket.address, socket.isAwaitingAddress)
      listeners.append((address, try server.listen(on: .tcp(socket))))
      announce(bound, isAwaiting: isAwaiting)
    } catch {
      switch error {
      case .addressInUse:
        warn(
          address,
          "another program listens there, perhaps the other daemon of this suite; give each a file of its own "
            + "(--config) with another port")
      case .permissionDenied: warn(address, "ports below 1024 are for root; choose another")
      case .addressFamilyNotSupported: warn(address, "the kernel of this host has no IPv6")
      default: warn(address, error.description)
      }
    }
  }

  private func announce(_ address: SocketAddress, isAwaiting: Bool) {
    // Later: the log begins a thread, and there may have to be none yet.
    events.post { [logger] in
      logger.info(
        """
        metrics are at http://\(address)\(MetricsPage.path)\(isAwaiting ? " once this host has that address" : "")
        """)
      guard !address.isLoopback else { return }
      logger.warning(
        """
        every host that reaches \(address) can read the metrics, which name devices, and so can hosts on the path: \
        there is no password and no encryption; set metrics.listen to a loopback address, or have a firewall admit \
        only the collector
        """)
    }
  }

  private func warn(_ address: ServerAddress, _ why: String) {
    let line =
      "metrics cannot be given at \(address), and this program goes on without, and tries again from time to time: "
      + "\(why); or change metrics.listen, then reload (mnedc-ctl reload)"
    if complaints.insert(line).inserted { events.post { [logger] in logger.warning("\(line)") } }
  }

  /// Gives the metrics to `reply`, on the main thread. All requests that come while they are collected get the same.
  private func report(_ reply: @escaping (MetricsReport) -> Void) {
    if let last, Instant.now().since(last.time) < Self.freshness { return reply(last.report) }
    waiting.append(reply)
    guard waiting.count == 1 else { return }
    let server = LoopBound(self)
    collect { [events] report in events.post { server.value.take(report) } }
  }

  private func take(_ report: MetricsReport) {
    last = (report, .now())
    let replies = waiting
    waiting = []
    for reply in replies { reply(report) }
  }
}

/// A connection that asks for the metrics by HTTP: one request, one answer, and the end. Owned by the main thread.
final class MetricsConnection: StreamConnection {
  // Set once.
  private let report: (@escaping (MetricsReport) -> Void) -> Void

  // Owned by the main thread.
  private var step = Step.asking
  private var input: [UInt8] = []
  /// What came behind the request and was thrown away, in bytes.
  private var ignored = 0

  private enum Step {
    /// The request has not come whole.
    case asking
    case collecting
    case answering
    /// All is sent. What comes is thrown away: closing with unread data would reset the connection, and lose the
    /// answer.
    case lingering
  }

  /// How long a request may take to come, its answer to be collected and taken, and the other end to close.
  private static let requestTime = Duration.seconds(5)
  private static let answerTime = Duration.seconds(10)
  private static let lingerTime = Duration.seconds(1)
  private static let maximumIgnored = 64 << 10

  init(
    _ socket: consuming Descriptor, on events: EventLoop, report: @escaping (@escaping (MetricsReport) -> Void) -> Void
  ) {
    self.report = report
    super.init(socket, on: events)
    end(after: Self.requestTime)
  }

  /// Collecting takes no longer than the daemon itself.
  override var claim: Int? {
    switch step {
    case .lingering: 0
    case .asking: 1
    case .answering: 2
    case .collecting: nil
    }
  }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    if step == .lingering {
      ignored += bytes.count
      if ignored > Self.maximumIgnored { end() }
      return
    }
    input += bytes
    // No head ends without the end of a line.
    guard input.count >= HTTPRequest.maximumHead || bytes.contains(UInt8(ascii: "\n")) else { return }
    switch HTTPRequest.read(input) {
    case .incomplete: break
    case .refused(let problem): answer(MetricsPage.response(problem))
    case .request(let request): answer(MetricsPage.answer(to: request))
    }
  }

  private func answer(_ answer: MetricsPage.Answer) {
    switch answer {
    case .problem(let problem, let hasBody): self.answer(MetricsPage.response(problem, hasBody: hasBody))
    case .metrics(let format, let hasBody):
      step = .collecting
      isReading = false
      end(after: Self.answerTime)
      report { [weak self] report in
        self?.answer(
          MetricsPage.response(.ok, format.contentType, Array(format.text(report).utf8), hasBody: hasBody))
      }
    }
  }

  private func answer(_ bytes: [UInt8]) {
    step = .answering
    isReading = false
    input = []
    end(after: Self.answerTime)
    send(bytes)
  }

  override func sentAll() {
    step = .lingering
    isReading = true
    end(after: Self.lingerTime)
    shutDownSending()
  }
}
