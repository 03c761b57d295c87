public import ArgumentParser
internal import Config
public import Control
internal import SystemPackage

/// Which daemon a tool talks to.
public struct ControlOptions: ParsableArguments {
  @OptionGroup public var configuration: ConfigOptions

  @Option(
    help: ArgumentHelp("Talk to the daemon at this socket (default: the one that runs here).", valueName: "path"),
    completion: .file())
  public var socket: String?

  @Option(
    help: ArgumentHelp(
      "Wait this long for the answer (default: \(ValueKind<Duration>.answerTimeout.text(defaultTimeout))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.answerTimeout.option($0) })
  public var timeout = defaultTimeout

  private static let defaultTimeout = Duration.seconds(5)

  public init() {}

  /// These options for a command that takes so much longer.
  public func waitingLonger(by time: Duration) -> ControlOptions {
    var options = self
    options.timeout += time
    return options
  }

  /// The answer of the daemon at `--socket`, or of whichever runs here and is the first that may have one.
  public func ask<Report: Codable>(_ command: ControlCommand, _: Report.Type = Report.self) throws -> Report {
    try askAndLocate(command).report
  }

  /// As `ask`, with the socket of the daemon that has answered.
  public func askAndLocate<Report: Codable>(
    _ command: ControlCommand, _: Report.Type = Report.self
  ) throws -> (report: Report, path: String) {
    var notRunning: [String] = []
    for path in try paths(for: command) {
      do {
        let report: Report = try WaitingNote.during(command.awaited) { () throws(ControlClient.Failure) in
          try ControlClient.ask(command, at: path, timeout: timeout)
        }
        return (report, path)
      } catch {
        guard case .notRunning(let errno) = error else { throw Self.failure(error, path) }
        // A socket that may not be opened is there; a missing or dead one is not worth a word unless it was asked for.
        if errno == .permissionDenied { throw Failure(.noPermission, "\(path): \(errno); run as root") }
        notRunning.append("\(path): \(errno)")
      }
    }
    let missing = command.name.isForRelay ? "start mnedcd" : "start mnedcd or mnedc-join"
    throw Failure(
      .unavailable, "no daemon answers (\(notRunning.joined(separator: "; "))); \(missing), or name its --socket")
  }

  /// The device's comes first, but for what only a relay has.
  private func paths(for command: ControlCommand) throws -> [String] {
    if let socket { return [socket] }
    // A mistake in the usual file must not keep anybody from asking a daemon that runs.
    let settings = configuration.config == nil ? (try? configuration.load()) ?? Settings() : try configuration.load()
    let paths = [settings.join.socket, settings.relay.socket]
    return command.name.isForRelay ? paths.reversed() : paths
  }

  /// What a program ends with when a daemon at `path` has not answered.
  public static func failure(_ failure: ControlClient.Failure, _ path: String) -> Failure {
    switch failure {
    case .notRunning(let errno):
      Failure(.unavailable, "no daemon answers at \(path): \(errno); start it, or name another --socket")
    case .timeout: Failure(.temporaryFailure, "the daemon at \(path) did not answer in time; try a longer --timeout")
    case .noAnswer:
      Failure(.unavailable, "the daemon at \(path) has ended, or given up, before it could answer; see its log")
    case .badAnswer:
      Failure(.unavailable, "what answers at \(path) is no daemon of this suite; check --socket")
    case .refused(let error):
      switch error.code {
      case .denied: Failure(.noPermission, error.text)
      case .busy: Failure(.temporaryFailure, error.text)
      case .badConfiguration: Failure(.configuration, error.text)
      case .badRequest: Failure(.unavailable, "\(error.text); restart the daemon, if it is of another version")
      case .unsupported, .notFound, .failed: Failure(.unavailable, error.text)
      }
    }
  }
}
