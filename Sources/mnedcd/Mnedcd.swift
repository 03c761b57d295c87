import Admission
import ArgumentParser
import CommandLine
import Config
import Relay
import Wire

struct Mnedcd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedcd",
    abstract: "Relay daemon: lets devices behind any number of NATs reach each other.",
    discussion: "Runs in the foreground until told to stop (SIGTERM, or mnedc-ctl stop). Options override the file.",
    version: suiteVersion)

  @OptionGroup var configuration: ConfigOptions

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Listen here, or auto: [::]:3334 (default: auto); may be given several times.",
      valueName: "address:port"),
    transform: { $0 == "auto" ? nil : try ValueKind<ServerAddress>.listen.option($0) })
  var listen: [ServerAddress?] = []

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Lease virtual addresses from this network, or choose one: auto (default: "
        + "\(ValueKind.pool.text(defaults.pool))).",
      valueName: "prefix"),
    transform: { try ValueKind<Settings.Pool>.pool.option($0) })
  var pool: Settings.Pool?

  @Option(
    help: ArgumentHelp(
      "Let new devices join by \(ValueKind<AdmissionMode>.admission.rule) (default: \(defaults.admission)).",
      valueName: "mode"),
    completion: .list(AdmissionMode.allCases.map(\.rawValue)),
    transform: { try ValueKind<AdmissionMode>.admission.option($0) })
  var admission: AdmissionMode?

  @Flag(name: .long, help: "Only relay: this host gets no virtual address, and no privilege is needed.")
  var noDevice = false

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Name this host's TUN interface so (default: \(defaults.interface)).", valueName: "name"),
    completion: .newInterface,
    transform: { try ValueKind<String>.interface.option($0) })
  var interface: String?

  @Option(
    help: .socket(default: defaults.socket), completion: .file(),
    transform: { try ValueKind<String>.socketPath.option($0) })
  var socket: String?

  @Option(
    help: .state(default: defaults.state), completion: .directory,
    transform: { try ValueKind<String>.directory.option($0) })
  var state: String?

  @Flag(help: "Make a new key if relay.key is lost, which every device has to be told by hand.")
  var newKey = false

  @OptionGroup var daemon: DaemonOptions

  private static let defaults = Settings().relay

  func validate() throws {
    guard listen.count > 1, listen.contains(nil) else { return }
    throw ValidationError("--listen auto stands alone")
  }

  func run() throws {
    let settings = try overridden(try configuration.file().load())
    if daemon.check {
      try RelayDaemon.checkPool(settings)
      return try daemon.show(settings)
    }
    let file = try configuration.file().fixed()
    try RelayDaemon(settings, mayMakeKey: newKey) { try overridden(try file.reload()) }.run()
  }

  private func overridden(_ file: Settings) throws -> Settings {
    var settings = file
    if !listen.isEmpty { settings.relay.listen = listen.compactMap { $0 } }
    if let pool { settings.relay.pool = pool }
    if noDevice { settings.relay.device = false }
    if let interface { settings.relay.interface = interface }
    if let admission { settings.relay.admission = admission }
    if let socket { settings.relay.socket = socket }
    if let state { settings.relay.state = state }
    if let logLevel = daemon.logLevel { settings.logLevel = logLevel }
    if case .prefix(let prefix) = settings.relay.pool {
      do throws(RelayNetwork.Problem) {
        try RelayNetwork.check(settings.relay.addresses, of: prefix)
      } catch {
        throw Failure(.configuration, error.description)
      }
    }
    return settings
  }
}

@main
enum Entry {
  static func main() {
    runProgram(Mnedcd.self)
  }
}
