import ArgumentParser
import Config
import Control
import Program
import SystemIO

struct Drain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ends a relay once what is under way has arrived.",
    discussion: """
      Devices stop sending and nobody new is let in. Returns when the relay has ended. For root, and for the \
      relay's user.
      """)

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "End after this time in any case (default: \(ValueKind<Duration>.drainTime.text(defaultTime))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.drainTime.option($0) })
  var within = defaultTime

  @OptionGroup var confirmation: ConfirmOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  private static let defaultTime = Duration.milliseconds(ControlCommand.defaultDrain)

  func run() throws {
    try confirm()
    let command = ControlCommand.drain(milliseconds: Int(within.nanoseconds / 1_000_000))
    let report: DrainReport = try control.waitingLonger(by: within).ask(command)
    try output.show(report) {
      let cut = report.cutOff == 0 ? "" : "; \(report.cutOff) of them were cut off with something still under way"
      return "drained \(Table.count(report.sessions, "session")) in \(report.duration) s\(cut); the relay ends"
    }
  }
  private func confirm() throws {
    guard confirmation.isAsking else { return }
    let report: DevicesReport = try control.ask(.devices())
    let names = report.devices.filter { $0.online && $0.admittedBy != .host }.map(\.deviceId)
    let effect =
      names.isEmpty
      ? "No device is connected now."
      : "It cuts \(Table.count(names.count, "connected device")) off from each other until mnedcd is started again: "
        + "\(ConfirmOptions.some(of: names))."
    try confirmation.confirm("This ends the relay. \(effect)")
  }
}
