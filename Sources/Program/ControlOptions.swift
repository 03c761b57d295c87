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

  /// Asks the daemon at `--socket`, or whichever runs here: the device's, then the relay's.
  public func ask<Answer>(
    _ request: (_ path: String, _ timeout: Duration) throws(ControlClient.Failure) -> Answer
  ) throws -> Answer {
    let paths: [String]
    if let socket {
      paths = [socket]
    } else {
      // A mistake in the usual file must not keep anybody from asking a daemon that runs.
      let settings = configuration.config == nil ? (try? configuration.load()) ?? Settings() : try configuration.load()
      paths = [settings.join.socket, settings.relay.socket]
    }
    var notRunning: [String] = []
    for path in paths {
      do {
        return try request(path, timeout)
      } catch {
        guard case .notRunning(let errno) = error else { throw Self.failure(error, path) }
        // A socket that may not be opened is there; a missing or dead one is not worth a word unless it was asked for.
        if errno == .permissionDenied { throw Failure(.noPermission, "\(path): \(errno); run as root") }
        notRunning.append("\(path): \(errno)")
      }
    }
    throw Failure(
      .unavailable,
      "no daemon answers (\(notRunning.joined(separator: "; "))); start mnedcd or mnedc-join, or name its --socket")
  }

  private static func failure(_ failure: ControlClient.Failure, _ path: String) -> Failure {
    switch failure {
    case .notRunning(let errno): Failure(.unavailable, "\(path): \(errno)")
    case .timeout: Failure(.temporaryFailure, "the daemon at \(path) did not answer in time; try a longer --timeout")
    case .badAnswer:
      Failure(.unavailable, "what answers at \(path) is no daemon of this suite; check --socket")
    case .refused(let error):
      switch error.code {
      case .denied: Failure(.noPermission, error.text)
      case .busy: Failure(.temporaryFailure, error.text)
      case .badRequest: Failure(.unavailable, "\(error.text); is the daemon of another version?")
      }
    }
  }
}
