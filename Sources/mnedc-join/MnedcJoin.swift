import ArgumentParser
import CommandLine
import Config
import DeviceHost
import Noise
import SystemIO
import Wire

struct MnedcJoin: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mnedc-join",
    abstract: "Joins this device to the network of a relay, and keeps it there.",
    discussion: "Runs in the foreground until told to stop (SIGTERM, or mnedc-ctl stop). Options override the file.",
    version: suiteVersion)

  @Argument(help: "What mnedc-ctl invite prints; needed once.")
  var invite: String?

  @OptionGroup var configuration: ConfigOptions

  @Option(
    help: ArgumentHelp("Be in this network beside others (no default).", valueName: "network"),
    transform: { try ValueKind<NetworkName>.network.option($0) })
  var name: NetworkName?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Join the relay here (no default); may be given several times, tried in order.", valueName: "host:port"),
    transform: { try ValueKind<ServerAddress>.server.option($0) })
  var server: [ServerAddress] = []

  @Option(
    help: ArgumentHelp(
      "Join only a relay that has this key (no default); may be given several times.", valueName: "key"),
    transform: { try ValueKind<[UInt8]>.relayKey.option($0) })
  var serverKey: [[UInt8]] = []

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Go by this name, unique in the network (default: the host's and 8 hex digits).", valueName: "id"),
    transform: { try ValueKind<String>.deviceID.option($0) })
  var deviceID: String?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Ask for this virtual address, and take no other (default: what the relay gives).", valueName: "address"),
    transform: { try ValueKind<IPv4Address>.virtualAddress.option($0) })
  var address: IPv4Address?

  @Flag(help: "Join even if this host has the network's addresses.")
  var allowOverlap = false

  @Flag(help: "Join by the invite as a new device, with a new key.")
  var reset = false

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Name the TUN interface so (default: \(defaults.interface)).", valueName: "name"),
    completion: .newInterface,
    transform: { try ValueKind<String>.interface.option($0) })
  var interface: String?

  @Flag(help: "Make the interface without segmentation offload (slower; for trouble with a kernel).")
  var noOffload = false

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Give up unless joined after this time (default: \(ValueKind<Duration>.joinTimeout.text(defaults.timeout))).",
      valueName: "duration"),
    transform: { try ValueKind<Duration>.joinTimeout.option($0) })
  var timeout: Duration?

  @Flag(name: .shortAndLong, help: "Go to the background, and log to syslog, once joined.")
  var background = false

  @Option(
    help: .socket(default: defaults.socket), completion: .file(),
    transform: { try ValueKind<String>.socketPath.option($0) })
  var socket: String?

  @Option(
    help: .state(default: defaults.state), completion: .directory,
    transform: { try ValueKind<String>.directory.option($0) })
  var state: String?

  @OptionGroup var daemon: DaemonOptions

  private static let defaults = Settings().join

  func validate() throws {
    guard reset, invite == nil else { return }
    throw ValidationError("--reset needs an invite, which `mnedc-ctl invite` prints at the relay")
  }

  func run() throws {
    let invite = try invite.map { try Self.read($0) }
    let configuration = configuration.file(of: name)
    let content = try configuration.read(mayBeNew: invite != nil)
    let file = try configuration.parse(content)
    var settings = overridden(file)
    let given = JoinOptions(
      path: configuration.path, content: content, file: file, defaults: configuration.defaults, servers: server,
      serverKeys: serverKey, deviceID: deviceID, state: settings.join.state)
    let invitation = try invite.map { try Invitation($0, given, isReset: reset) }
    let isUsualState = settings.join.state == file.join.state
    let update =
      try invitation.map { try FileUpdate($0, given, isReset: reset, &settings) }
      ?? FileUpdate(
        given, isUsualState: isUsualState, isOwn: isUsualState || name != nil || self.configuration.config != nil)
    let isReference = try completeServers(of: &settings)
    if daemon.check { return try check(invite, settings, isReference) }
    let isInBackground = Foreground.isWaiting()
    if background, !isInBackground { return try goToBackground() }
    hideArguments(behind: InviteText.prefix)
    let atTheFile = try configuration.fixed()
    let daemon = try DeviceDaemon(
      settings, name, invitation, update, isReset: reset, isInBackground: isInBackground
    ) {
      var fresh = overridden(try atTheFile.reload(mayBeNew: invite != nil))
      // Before the first join the file does not have the relay of the invite.
      if invite != nil, fresh.servers.isEmpty || reset && fresh.serverKeys != settings.serverKeys {
        (fresh.servers, fresh.serverKeys) = (settings.servers, settings.serverKeys)
      }
      _ = try completeServers(of: &fresh)
      return fresh
    }
    if isReference { daemon.note(referenceNote) }
    try daemon.run()
  }

  /// Takes the relay from the reference implementation's file if nothing else names one, and returns whether it did.
  /// Throws if nothing names a relay.
  private func completeServers(of settings: inout Settings) throws -> Bool {
    guard settings.servers.isEmpty else { return false }
    if configuration.config == nil, name == nil {
      settings.servers = try ConfigOptions.loadReference().servers
      if !settings.servers.isEmpty { return true }
    }
    throw Failure(
      .configuration,
      "no relay is named; give the line that `mnedc-ctl invite` prints at the relay, or --server HOST:PORT, or write "
        + "`server: HOST:PORT` to \(configuration.file(of: name).path)")
  }

  private var referenceNote: String {
    "\(configuration.file(of: name).path) names no relay, so server is what \(ConfigOptions.referencePath) says"
  }

  private func overridden(_ file: Settings) -> Settings {
    var settings = file
    if !server.isEmpty { settings.servers = server }
    if !serverKey.isEmpty { settings.serverKeys = serverKey }
    if let deviceID { settings.deviceID = deviceID }
    if let address { settings.join.address = address }
    if allowOverlap { settings.join.allowOverlap = true }
    if let interface { settings.join.interface = interface }
    if noOffload { settings.join.offload = .off }
    if let timeout { settings.join.timeout = timeout }
    if let socket { settings.join.socket = socket }
    if let state { settings.join.state = state }
    if let logLevel = daemon.logLevel { settings.logLevel = logLevel }
    return settings
  }

  /// Not as an option's transform: its error would show the invite, which is secret.
  private static func read(_ text: String) throws -> InviteText {
    do {
      return try InviteText(parsing: text)
    } catch {
      throw Failure(.usage, "\(error)")
    }
  }

  private func check(_ invite: InviteText?, _ settings: Settings, _ isReference: Bool) throws {
    if isReference { try printOut("# \(referenceNote)") }
    if let invite, let key = PublicKey(invite.relayKey) {
      try printOut(
        "# an invite of the relay with the key \(key.fingerprint) at \(invite.servers.joined(separator: ", "))")
    }
    try daemon.show(settings)
  }

  private func goToBackground() throws {
    let process: BackgroundProcess
    do {
      process = try BackgroundProcess()
    } catch {
      throw Failure(.systemError, "cannot start in the background: \(error)")
    }
    hideArguments(behind: InviteText.prefix)
    switch process.waitUntilReady() {
    case .success(let line): try printOut(line)
    // The process in the background has said why.
    case .failure(let exit): endProcess(exit.status == 0 ? ExitStatus.software.rawValue : exit.status)
    }
  }
}

@main
enum Entry {
  static func main() {
    runProgram(MnedcJoin.self)
  }
}
