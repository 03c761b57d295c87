internal import Control
internal import SystemIO

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
    /// All is sent. What comes is thrown away: closing with unread data would reset the connection, and lose the answer.
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
