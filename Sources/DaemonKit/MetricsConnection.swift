internal import Control
internal import Metrics
internal import SystemIO
internal import SystemPackage

/// Somebody who asks for the metrics by HTTP: one request, one answer, and the connection ends. Owned by the main thread.
final class MetricsConnection: EventHandler {
  // Set once.
  let since = Instant.now()
  private let socket: Descriptor
  private let events: EventLoop
  private let report: (@escaping (MetricsReport) -> Void) -> Void
  private let onEnd: (MetricsConnection) -> Void

  // Owned by the main thread.
  private var registration: Registration?
  private var timer: Timer?
  private var step = Step.asking
  private var input: [UInt8] = []
  private var output: ArraySlice<UInt8> = []
  /// What came behind the request and was thrown away, in bytes.
  private var ignored = 0

  private enum Step {
    /// The request has not come whole.
    case asking
    case collecting
    case answering
    /// All is sent; whatever else comes is thrown away, or the end of it could take the answer along.
    case lingering
  }

  /// How long a request may take to come, its answer to be collected and taken, and the other end to close.
  private static let requestTime = Duration.seconds(5)
  private static let answerTime = Duration.seconds(10)
  private static let lingerTime = Duration.seconds(1)
  private static let maximumIgnored = 64 << 10

  init(
    _ socket: consuming Descriptor, on events: EventLoop, report: @escaping (@escaping (MetricsReport) -> Void) -> Void,
    onEnd: @escaping (MetricsConnection) -> Void
  ) {
    self.socket = socket
    self.events = events
    self.report = report
    self.onEnd = onEnd
  }

  /// How much it needs its place: least where its answer is sent, more where its request is awaited, most where its
  /// answer is being taken; `nil` while the answer is collected, which takes no longer than the daemon itself.
  var claim: Int? {
    switch step {
    case .lingering: 0
    case .asking: 1
    case .answering: 2
    case .collecting: nil
    }
  }

  func start() {
    do {
      registration = try events.register(socket, for: .readable, handler: self)
      close(after: Self.requestTime)
    } catch {
      close()
    }
  }

  func close() {
    if let registration { events.deregister(socket, registration) }
    if let timer { events.cancel(timer) }
    registration = nil
    timer = nil
    onEnd(self)
  }

  private func close(after time: Duration) {
    if let timer { events.cancel(timer) }
    timer = events.schedule(after: time) { [weak self] in self?.close() }
  }

  func handle(_ events: Events) {
    guard registration != nil else { return }
    if events.contains(.hangup) { return close() }
    switch step {
    case .asking, .lingering: read()
    case .collecting: break
    case .answering: write()
    }
  }

  private func read() {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count: Int?
    do {
      count = try buffer.withUnsafeMutableBytes { bytes in try socket.read(into: bytes) }
    } catch {
      return close()
    }
    guard let count else { return }
    if count == 0 { return close() }
    if step == .lingering {
      ignored += count
      return ignored > Self.maximumIgnored ? close() : ()
    }
    input += buffer[..<count]
    // No head ends without the end of a line.
    guard input.count >= HTTPRequest.maximumHead || buffer[..<count].contains(UInt8(ascii: "\n")) else { return }
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
      setInterest([])
      close(after: Self.answerTime)
      report { [weak self] report in
        guard let self, self.registration != nil else { return }
        self.answer(
          MetricsPage.response(.ok, format.contentType, Array(format.text(report).utf8), hasBody: hasBody))
      }
    }
  }

  private func answer(_ bytes: [UInt8]) {
    step = .answering
    input = []
    output = bytes[...]
    close(after: Self.answerTime)
    write()
  }

  private func write() {
    do {
      while !output.isEmpty {
        let count = try output.withUnsafeBytes { bytes in try socket.send(bytes) }
        guard let count else { return setInterest(.writable) }
        output = output.dropFirst(count)
      }
    } catch {
      return close()
    }
    step = .lingering
    socket.shutDownSending()
    setInterest(.readable)
    close(after: Self.lingerTime)
  }

  private func setInterest(_ interest: Events) {
    guard let registration else { return }
    events.setInterest(interest, of: socket, registration)
  }
}
