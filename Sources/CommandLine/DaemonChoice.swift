public import ArgumentParser
internal import Config
public import Control
public import SystemIO
internal import SystemPackage

/// Which daemon a tool talks to.
public struct DaemonChoice<Configuration: ConfigChoice>: ParsableArguments {
  @OptionGroup public var configuration: Configuration

  @Option(
    help: ArgumentHelp("Talk to the daemon at this socket (default: the one that runs here).", valueName: "path"),
    completion: .file())
  public var socket: String?

  @Option(
    help: ArgumentHelp(
      "Talk to the relay, the device, or the device of this --name (default: the only daemon that runs here).",
      valueName: "daemon"),
    completion: .daemons,
    transform: { try DaemonName.option($0) })
  public var of: DaemonName?

  @Option(
    help: ArgumentHelp(
      "Wait this long for the answer (default: \(ValueKind<Duration>.answerTimeout.text(defaultTimeout))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.answerTimeout.option($0) })
  public var timeout = defaultTimeout

  private static var defaultTimeout: Duration { .seconds(5) }

  public init() {}

  /// These options with a longer timeout.
  public func waitingLonger(by time: Duration) -> DaemonChoice {
    var options = self
    options.timeout += time
    return options
  }

  public func validate() throws {
    if of != nil, socket != nil { throw ValidationError("--of and --socket both say which daemon is meant; give one") }
  }

  /// Checks a peer's name; for a command's `validate`.
  public static func check(peer name: String) throws {
    guard ControlCommand.textLength.contains(name.utf8.count) else {
      throw ValidationError("name a peer by its ID, its name or its virtual address")
    }
  }

  /// The answer of the chosen daemon.
  public func ask<Report: Codable>(_ command: ControlCommand, _: Report.Type = Report.self) throws -> Report {
    try askAndLocate(command).report
  }

  /// As `ask`, with the socket of the daemon that answered.
  public func askAndLocate<Report: Codable>(
    _ command: ControlCommand, _: Report.Type = Report.self
  ) throws -> (report: Report, path: String) {
    let place = try place(for: command)
    return (try ask(command, at: place), place.path)
  }

  /// As `ask`, for an answer with an open file.
  public func askForFile<Report: Codable>(_ command: ControlCommand) throws -> (report: Report, file: OpenFile) {
    let place = try place(for: command)
    return try during(command, at: place) { () throws(ControlClient.Failure) in
      try ControlClient.askForFile(command, at: place.path, timeout: timeout)
    }
  }

  /// The answer of the daemon there.
  public func ask<Report: Codable>(
    _ command: ControlCommand, _: Report.Type = Report.self, at place: DaemonAddress
  ) throws -> Report {
    try during(command, at: place) { () throws(ControlClient.Failure) in
      try ControlClient.ask(command, at: place.path, timeout: timeout)
    }
  }

  private func during<Answer>(
    _ command: ControlCommand, at place: DaemonAddress, _ ask: () throws(ControlClient.Failure) -> Answer
  ) throws -> Answer {
    do {
      return try WaitingNote.during(command.awaited, ask)
    } catch {
      guard case .notRunning(let errno) = error else { throw Self.failure(error, place.path) }
      if errno == .permissionDenied { throw Failure(.noPermission, "\(place.path): \(errno); run as root") }
      throw notRunning(place, errno, start: place.name?.program ?? Self.either(command))
    }
  }

  /// All daemons that run here, or the one that `--of` or `--socket` names. Throws if that one does not run.
  public func running() throws -> [DaemonAddress] {
    // A mistake in the file does not hide the daemons that run.
    let places = places(configuration.file().loadInPart())
    guard isNamed else { return places.filter { $0.presence == .answers } }
    for place in places {
      guard case .missing(let errno) = place.presence else { continue }
      throw notRunning(place, errno, start: place.name?.program ?? "mnedcd or mnedc-join")
    }
    return places
  }

  // MARK: Which one

  private var isNamed: Bool { of != nil || socket != nil }

  /// A mistake in the usual file keeps nobody from asking a daemon that runs.
  private func settings() throws -> Settings {
    configuration.config == nil ? configuration.file().loadInPart() : try configuration.load()
  }

  /// The mistake in the usual file, which may be why no daemon is found.
  private var mistake: String? {
    do {
      _ = try configuration.load()
      return nil
    } catch {
      return (error as? Failure)?.message
    }
  }

  private func places(_ settings: @autoclosure () throws -> Settings) rethrows -> [DaemonAddress] {
    if let socket { return [DaemonAddress(name: nil, path: socket)] }
    let settings = try settings()
    if let of { return [DaemonAddress(name: of, path: of.socket(settings))] }
    return DaemonAddress.all(settings)
  }

  /// The daemon to ask: the named one, or the only one that runs. A command for relays goes to the relay.
  private func place(for command: ControlCommand) throws -> DaemonAddress {
    let places = try places(settings())
    if isNamed { return places[0] }
    var running: [DaemonAddress] = []
    var missing: [String] = []
    for place in places {
      switch place.presence {
      case .answers: running.append(place)
      case .missing(let errno):
        // A daemon of a named network that ended may leave its file behind.
        if case .network = place.name { continue }
        missing.append("\(place.path): \(errno)")
      }
    }
    if command.kind.daemons == .relay {
      // A device answers with where to find the relay.
      if let place = running.first(where: { $0.name == .relay }) ?? running.first { return place }
    }
    guard let first = running.first else {
      throw notRunning(missing, start: Self.either(command), units: Self.units(for: command))
    }
    guard running.count == 1 else { throw Self.ambiguous(running, CommandLine.arguments) }
    return first
  }

  /// The systemd units of the daemons that could carry the command out.
  private static func units(for command: ControlCommand) -> [String] {
    let relay = DaemonName.relay.unit
    return command.kind.daemons == .relay ? [relay] : [DaemonName.device.unit, relay, "mnedc-join@*.service"]
  }

  private static func either(_ command: ControlCommand) -> String {
    command.kind.daemons == .relay ? "mnedcd" : "mnedcd or mnedc-join"
  }

  /// If `--of` names a daemon that does not run, the error lists those that run: the name may be misspelt.
  private func notRunning(_ place: DaemonAddress, _ errno: Errno, start program: String) -> Failure {
    let named = of.flatMap { _ in try? settings() }.map { DaemonAddress.all($0) } ?? []
    let running = named.filter { $0.presence == .answers }.compactMap { $0.name?.description }
    return notRunning(
      ["\(place.path): \(errno)"], start: program, running: running, units: place.name.map { [$0.unit] } ?? [])
  }

  /// `units` are the units of the daemons that could be meant.
  private func notRunning(
    _ places: [String], start program: String, running: [String] = [], units: [String]
  ) -> Failure {
    let others = running.isEmpty ? "" : "; what runs here is --of \(running.joined(separator: ", --of "))"
    let mistake = socket == nil ? mistake.map { "\n\($0)" } ?? "" : ""
    let advice = ServiceUnits.advice(units) ?? "start \(program), or name its --socket"
    return Failure(
      .unavailable, "no daemon answers (\(places.joined(separator: "; "))); \(advice)\(others)\(mistake)")
  }

  /// The error lists command lines to copy; a shell takes the part behind `#` for a comment.
  static func ambiguous(_ running: [DaemonAddress], _ arguments: [String]) -> Failure {
    let words = arguments.map { ShellText.word($0) }
    let end = words.firstIndex(of: "--") ?? words.endIndex
    let lines = running.compactMap { place in
      place.name.map { name in
        let whole = words[..<end] + ["--of", name.description] + words[end...]
        return "  \(whole.joined(separator: " "))  # \(name.program) at \(place.path)"
      }
    }
    return Failure(
      .usage, (["several daemons run on this host; say which one is meant:"] + lines).joined(separator: "\n"))
  }

  /// The failure of a program whose daemon at `path` did not answer.
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
