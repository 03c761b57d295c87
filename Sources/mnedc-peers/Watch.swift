import CommandLine
import Control
import Listing
import SystemIO
import SystemPackage

/// Shows changes: in place on a terminal, otherwise one line per event. Owned by the main thread.
final class Watch: EventHandler {
  // Set once.
  private let options: ListOptions
  private let path: String
  private let events: EventLoop
  private let stream: ControlSubscription
  private let isInPlace: Bool

  private var signals: SignalSource?
  private var filter: EventFilter
  private var failure: Failure?
  private var lastDrawn = Instant.now()
  private var isDrawingDue = false

  /// The shortest time between two redraws.
  private static let shortest = Duration.milliseconds(250)
  /// The longest time between two redraws, because shown times change without an event.
  private static let longest = Duration.seconds(2)

  init(_ options: ListOptions, at path: String) throws {
    self.options = options
    self.path = path
    isInPlace = !options.json && Terminal.size() != nil && Terminal.takesControl()
    filter = EventFilter(options.list)
    do {
      events = try EventLoop()
      stream = try ControlSubscription(at: path, timeout: options.control.timeout)
      try stream.register(with: events, handler: self)
      let wanted: [Signal] = [.interrupt, .terminate, .hangup, .windowChange]
      signals = try SignalSource(wanted, on: events) { [unowned self] signal in
        if signal == .windowChange { drawSoon() } else { events.stop() }
      }
    } catch let failure as ControlClient.Failure {
      throw ControlOptions.failure(failure, path)
    } catch {
      throw Failure(.systemError, "cannot watch: \(error)")
    }
  }

  /// Runs until a signal comes or the daemon ends.
  func run(first report: PeersReport) throws {
    if isInPlace {
      try show("\u{1B}[?1049h\u{1B}[?25l")
      draw(report)
      refresh()
    } else if !options.json {
      try printOut(options.text(report, withRemarks: false))
    }
    events.run()
    if isInPlace { try? Terminal.write("\u{1B}[?25h\u{1B}[?1049l") }
    if let failure { throw failure }
  }

  func handle(_ events: Events) {
    do {
      for event in try stream.read() {
        guard let event = filter.take(event) else { continue }
        if isInPlace {
          drawSoon()
        } else if options.json {
          try printOut(String(decoding: JSON.line(event), as: UTF8.self))
        } else if event.event != .snapshot {
          try printOut(event.line)
        }
      }
    } catch let failure as ControlClient.Failure {
      end(ControlOptions.failure(failure, path))
    } catch {
      end(error as? Failure ?? Failure(.ioError, "cannot write the output: \(error)"))
    }
  }

  private func end(_ failure: Failure) {
    self.failure = failure
    events.stop()
  }

  // MARK: In place

  private func refresh() {
    events.schedule(after: Self.longest) { [self] in
      drawSoon()
      refresh()
    }
  }

  private func drawSoon() {
    guard isInPlace, !isDrawingDue else { return }
    isDrawingDue = true
    let since = Instant.now().since(lastDrawn)
    events.schedule(after: since < Self.shortest ? Self.shortest - since : .zero) { [self] in
      isDrawingDue = false
      // If the daemon has ended, the stream reports that.
      if let report: PeersReport = try? ControlClient.ask(.peers, at: path, timeout: options.control.timeout) {
        draw(report)
      }
    }
  }

  private func draw(_ report: PeersReport) {
    lastDrawn = .now()
    var lines = options.text(report, withRemarks: true).split(separator: "\n", omittingEmptySubsequences: false)
    if let rows = Terminal.size()?.rows, lines.count >= rows { lines = Array(lines.prefix(max(1, rows - 1))) }
    // Each line clears the rest of its line, the last one also all below.
    do {
      try show("\u{1B}[H" + lines.map { "\($0)\u{1B}[K\r\n" }.joined() + "\u{1B}[J")
    } catch {
      end(Failure(.ioError, "cannot write the output: \(error)"))
    }
  }

  private func show(_ text: String) throws(Errno) {
    try Terminal.write(text)
  }
}
