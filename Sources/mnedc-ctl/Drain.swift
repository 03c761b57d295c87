import ArgumentParser
import CommandLine
import Config
import Control
import SystemIO

struct Drain: ParsableCommand {
  static let configuration = CommandConfiguration(
    for: "drain",
    "Devices stop sending and nobody new is let in. Returns when the relay has ended, or serves again.")

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "End after this time in any case (default: \(ValueKind<Duration>.drainTime.text(defaultTime))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.drainTime.option($0) })
  var within = defaultTime

  @Flag(help: "Have the service manager start the relay again.")
  var restart = false

  @OptionGroup var confirmation: ConfirmOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  private static let defaultTime = Duration.milliseconds(ControlCommand.defaultDrain)
  /// How long the service manager and the relay may take together until the relay serves.
  private static let startTime = Duration.seconds(30)

  func run() throws {
    try confirm()
    let command = ControlCommand.drain(milliseconds: Int(within.nanoseconds / 1_000_000), restart: restart)
    var (report, path): (DrainReport, String) = try control.waitingLonger(by: within).askAndLocate(command)
    if restart {
      report.processId = try WaitingNote.during("the relay to start again") { try Self.waitForStart(at: path) }
    }
    try output.show(report) {
      let cut = report.cutOff == 0 ? "" : "; \(report.cutOff) of them were cut off with something still under way"
      let end =
        report.processId.map { "the relay serves again (process \($0))" }
        ?? "the relay has ended and stays down; \(Self.howToStart)"
      return "drained \(Table.count(report.sessions, "session")) in \(report.duration) s\(cut); \(end)"
    }
  }

  private func confirm() throws {
    guard confirmation.isAsking else { return }
    let report: DevicesReport = try control.ask(.devices())
    let names = report.devices.filter { $0.online && $0.admittedBy != .host }.map(\.deviceId)
    let effect =
      names.isEmpty
      ? "No device is connected now."
      : "It cuts \(Table.count(names.count, "connected device")) off until mnedcd runs again: "
        + "\(ConfirmOptions.some(of: names))."
    try confirmation.confirm("This \(restart ? "restarts" : "ends") the relay. \(effect)")
  }

  private static var howToStart: String {
    ServiceUnits.systemdRuns
      ? "start it with: systemctl start mnedcd (drain --restart starts it again by itself)"
      : "start mnedcd to have it serve again"
  }

  /// The ID of the process that answers.
  private static func waitForStart(at path: String) throws -> Int {
    let deadline = Instant.now().advanced(by: startTime)
    while Instant.now() < deadline {
      let status = try? ControlClient.ask(.status, StatusReport.self, at: path, timeout: .seconds(1))
      // A draining relay is the old process, if this tool could not wait for its end.
      if let status, status.relay?.draining != true { return status.processId }
      sleep(for: .milliseconds(100))
    }
    throw Failure(
      .unavailable,
      "the relay has drained and ended, and nothing has started it again within \(startTime.components.seconds) s; "
        + "start it (systemctl start mnedcd), and see its log (journalctl --unit mnedcd); without a service manager "
        + "that starts it after status \(ExitStatus.restart.rawValue), --restart has no effect")
  }
}
