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

  /// These options for a command that takes so much longer.
  public func waitingLonger(by time: Duration) -> DaemonChoice {
    var options = self
    options.timeout += time
    return options
  }

  public func validate() throws {
    if of != nil, socket != nil { throw ValidationError("--of and --socket both say which daemon is meant; give one") }
  }

  /// Whether `name` can be asked for as a peer; for a command's `validate`.
  public static func check(peer name: String) throws {
    guard ControlCommand.textLength.contains(name.utf8.count) else {
      throw ValidationError("name a peer by its ID, its name or its virtual address")
    }
  }

  /// The answer of the daemon that is meant.
  public func ask<Report: Codable>(_ command: ControlCommand, _: Report.Type = Report.self) throws -> Report {
    try askAndLocate(command).report
  }

  /// As `ask`, with the socket of the daemon that has answered.
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
    _ command: ControlCommand, _: Report.Type = Report.self, at place: DaemonPlace
  ) throws -> Report {
    try during(command, at: place) { () throws(ControlClient.Failure) in
      try ControlClient.ask(command, at: place.path, timeout: timeout)
    }
  }

  private func during<Answer>(
    _ command: ControlCommand, at place: DaemonPlace, _ ask: () throws(ControlClient.Failure) -> Answer
  ) throws -> Answer {
    do {
      return try WaitingNote.during(command.awaited, ask)
    } catch {
      guard case .notRunning(let errno) = error else { throw Self.failure(error, place.path) }
      if errno == .permissionDenied { throw Failure(.noPermission, "\(place.path): \(errno); run as root") }
      throw notRunning(place, errno, start: place.name?.program ?? Self.either(command))
    }
  }

  /// All daemons that run here, or the one that `--of` or `--socket` names, which has to.
  public func running() throws -> [DaemonPlace] {
    // What runs can be told in spite of a mistake in the file.
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

  /// A mistake in the usual file must not keep anybody from asking a daemon that runs.
  private func settings() throws -> Settings {
    configuration.config == nil ? configuration.file().loadInPart() : try configuration.load()
  }

  /// What is wrong with the usual file, which may be why a daemon is not found.
  private var mistake: String? {
    do {
      _ = try configuration.load()
      return nil
    } catch {
      return (error as? Failure)?.message
    }
  }

  private func places(_ settings: @autoclosure () throws -> Settings) rethrows -> [DaemonPlace] {
    if let socket { return [DaemonPlace(name: nil, path: socket)] }
    let settings = try settings()
    if let of { return [DaemonPlace(name: of, path: of.socket(settings))] }
    return DaemonPlace.all(settings)
  }

  /// The daemon that is meant: the one that is named, or the only one that runs. What only a relay has is for the relay.
  private func place(for command: ControlCommand) throws -> DaemonPlace {
    let places = try places(settings())
    if isNamed { return places[0] }
    var running: [DaemonPlace] = []
    var missing: [String] = []
    for place in places {
      switch place.presence {
      case .answers: running.append(place)
      case .missing(let errno):
        // Of a named network that has ended, nothing but a file may be left.
        if case .network = place.name { continue }
        missing.append("\(place.path): \(errno)")
      }
    }
    if command.name.isForRelay {
      // A device says itself where the relay is to be asked.
      if let place = running.first(where: { $0.name == .relay }) ?? running.first { return place }
    }
    guard let first = running.first else {
      throw notRunning(missing, start: Self.either(command), units: Self.units(for: command))
    }
    guard running.count == 1 else { throw Self.ambiguous(running, CommandLine.arguments) }
    return first
  }

  /// Those of the daemons that could carry it out; of named networks, the ones that systemd has tried to start.
  private static func units(for command: ControlCommand) -> [String] {
    let relay = DaemonName.relay.unit
    return command.name.isForRelay ? [relay] : [DaemonName.device.unit, relay, "mnedc-join@*.service"]
  }

  private static func either(_ command: ControlCommand) -> String {
    command.name.isForRelay ? "mnedcd" : "mnedcd or mnedc-join"
  }

  /// Where `--of` names a daemon that does not run, those are named that do: the name may be mistyped.
  private func notRunning(_ place: DaemonPlace, _ errno: Errno, start program: String) -> Failure {
    let named = of.flatMap { _ in try? settings() }.map { DaemonPlace.all($0) } ?? []
    let running = named.filter { $0.presence == .answers }.compactMap { $0.name?.description }
    return notRunning(
      ["\(place.path): \(errno)"], start: program, running: running, units: place.name.map { [$0.unit] } ?? [])
  }

  /// `units` are those of the daemons that could be meant.
  private func notRunning(
    _ places: [String], start program: String, running: [String] = [], units: [String]
  ) -> Failure {
    let others = running.isEmpty ? "" : "; what runs here is --of \(running.joined(separator: ", --of "))"
    let mistake = socket == nil ? mistake.map { "\n\($0)" } ?? "" : ""
    let advice = ServiceUnits.advice(units) ?? "start \(program), or name its --socket"
    return Failure(
      .unavailable, "no daemon answers (\(places.joined(separator: "; "))); \(advice)\(others)\(mistake)")
  }

  /// Says what to type, which may be taken as it is shown: what stands behind `#` is a comment to any shell.
  static func ambiguous(_ running: [DaemonPlace], _ arguments: [String]) -> Failure {
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
