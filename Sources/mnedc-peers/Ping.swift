import ArgumentParser
import CommandLine
import Config
import Control
import Listing
import SystemIO

struct Ping: ParsableCommand {
  static let configuration = CommandConfiguration(for: "ping", "The status is 1 if no ping was answered.")

  @Argument(help: "The device's ID, host name, virtual address or fingerprint's start.", completion: .peers)
  var peer: String

  @Option(
    name: [.long, .customShort("c", allowingJoined: true)],
    help: ArgumentHelp("Ping this many times (default: 5).", valueName: "number"),
    transform: {
      guard let number = Int($0), (1...1_000_000).contains(number) else {
        throw ValidationError("a count is a whole number from 1 to 1000000")
      }
      return number
    })
  var count = 5

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Wait this long from one ping to the next (default: 1s).", valueName: "duration"),
    transform: { try ValueKind<Duration>.answerTimeout.option($0) })
  var interval = Duration.seconds(1)

  @OptionGroup var output: JSONOptions

  @OptionGroup var control: ControlOptions
  @ParentCommand var program: MnedcPeers

  func validate() throws {
    try program.list.checkThatNoneIsGiven()
    try ControlOptions.check(peer: peer)
  }

  func run() throws {
    try Pinging(self).run()
  }
}

/// The pings of one call. Owned by the main thread.
private final class Pinging {
  private let options: Ping
  private let events: EventLoop
  private var signals: SignalSource?
  private var statistics = PingStatistics()
  private var name = ""
  private var failure: (any Error)?

  init(_ options: Ping) throws {
    self.options = options
    do {
      events = try EventLoop()
      signals = try SignalSource([.interrupt, .terminate], on: events) { [unowned self] _ in events.stop() }
    } catch {
      throw Failure(.systemError, "cannot ping: \(error)")
    }
  }

  func run() throws {
    next()
    events.run()
    if let failure { throw failure }
    if !options.output.json { try printOut(statistics.text) }
    if statistics.received == 0 {
      throw Failure(.noAnswer, "\(name) has not answered; mnedc-peers show shows what is known about it")
    }
  }

  private func next() {
    let start = Instant.now()
    do {
      try ping()
    } catch {
      failure = error
      return events.stop()
    }
    guard statistics.sent < options.count else { return events.stop() }
    let passed = Instant.now().since(start)
    events.schedule(after: passed < options.interval ? options.interval - passed : .zero) { [self] in next() }
  }

  private func ping() throws {
    let time = Int(options.control.timeout.nanoseconds / 1_000_000)
    let report: PingReport = try options.control.waitingLonger(by: .seconds(1)).ask(
      .ping(peer: options.peer, milliseconds: time))
    statistics.add(report.roundTripMs)
    name = report.deviceId
    try printOut(options.output.json ? String(decoding: JSON.line(report), as: UTF8.self) : report.line)
  }
}
