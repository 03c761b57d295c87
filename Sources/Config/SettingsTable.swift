public import Wire

// All keys of the configuration, one row each: path, kind of value with its bounds, default, and reach. Parsing,
// defaults, `--check`, suggestions, the answer to a reload, and the lists of keys in the tests are derived from the
// rows. Their order is the order of printing.
//
// A new key needs a row here, an entry in man/mnedc.yaml.5 and a line in examples/mnedc.yaml. How a live key reaches a
// running engine is stated once, in the initializer of `RelaySettings.Reloadable` in mnedcd or in `HostDevice.apply`.

extension Settings {
  /// The keys at the top of the file.
  public struct TopTable: SettingsTable {
    public static let table = TopTable()

    /// Where devices find the relay, tried in this order. Empty: the file names none.
    public let servers = list("server", .server, .device(.live))
    /// The relays' public keys, 32 bytes each, any of which will do. Empty: the device trusts the first one seen.
    public let serverKeys = list("server-key", .relayKey, .device(.restart))
    /// The reference implementation's way to name a server. `SettingsDecoder` turns it into `servers`.
    let serverIP = optional("server-ip", .host, .device(.live))
    let port = optional("port", .port, .device(.live))
    /// `nil`: the ID derived from the machine's identity.
    public let deviceID = optional("device-id", .deviceID, .both(.restart))
    public let logLevel = one("log-level", .logLevel, .info, .both(.live))
  }

  /// The section `metrics`.
  public struct MetricsTable: SettingsTable {
    public static let table = MetricsTable()

    /// Numeric addresses at which the daemon serves metrics by HTTP. With port 0 the kernel chooses.
    public let listen = list("metrics.listen", .metricsListen, .both(.live))
    /// Up to this many peers, each has series of its own.
    public let peerLimit = one(
      "metrics.peer-limit", .wholeNumber("a number of peers", in: 0...10_000), 100, .both(.live))
  }

  /// The section `join`: this device.
  public struct JoinTable: SettingsTable {
    public static let table = JoinTable()

    public let interface = one("join.interface", .interface, "mnedc0", .device(.restart))
    public let mtu = one("join.mtu", .mtu, 1400, .device(.restart))
    /// The virtual address to ask the relay for. `nil`: the relay chooses.
    public let address = optional("join.address", .virtualAddress, .device(.restart))
    /// Whether to join a network whose addresses other networks of this host use.
    public let allowOverlap = one("join.allow-overlap", .boolean, false, .both(.restart))
    /// Whether to join a network whose pool has public Internet addresses.
    public let allowPublicPool = one("join.allow-public-pool", .boolean, false, .both(.restart))
    /// The time limit of the first join.
    public let timeout = one("join.timeout", .joinTimeout, .seconds(30), .device(.restart))
    public let offload = one("join.offload", .offload, .auto, .device(.restart))
    /// The path of the control socket.
    public let socket = one("join.socket", .socketPath, "/run/mnedc/mnedc-join.sock", .device(.restart))
    /// The directory of this device's key and of the keys of the relays that it knows.
    public let state = one("join.state", .directory, "/var/lib/mnedc-join", .device(.restart))
    public let cipher = one("join.cipher", .choice("a cipher"), Cipher.auto, .both(.restart))
    public let congestionControl = one("join.congestion-control", .congestionControl, .auto, .device(.restart))
    /// Public keys of other devices by device ID, 32 bytes each. They override the keys that the relay announces.
    public let peerKeys = mapping("join.peer-keys", to: .deviceKey, .both(.live))
    public let names = one("join.names", .choice("a way to resolve names"), Names.auto, .both(.restart))
    public let hostsFile = one("join.hosts-file", .hostsFile, .auto, .both(.restart))
    /// The program, with its arguments, that the daemon runs for each event of a peer. Empty: none.
    public let onPeer = command("join.on-peer", .both(.live))
    /// For how many peers the device keeps orchestration information. In a larger network it asks when it needs some.
    public let peerInformation = one(
      "join.peer-information", .wholeNumber("a number of devices", in: 1...16384), 250, .both(.live))
    public let direct = one("join.direct", .choice("a setting of direct paths"), Direct.auto, .device(.restart))
    /// The TCP port for direct connections of peers. With 0 the kernel chooses.
    public let directPort = one("join.direct-port", .wholeNumber("a port", in: 0...65_535), 0, .device(.restart))
    /// How long direct paths go on without a connection to the relay.
    public let directMaxOffline = one(
      "join.direct-max-offline", .duration(.seconds(60) ... .seconds(365 * 86_400)), .seconds(86_400), .device(.restart)
    )
  }

  /// The section `join.orchestration`: what this device tells its peers of itself.
  public struct OrchestrationTable: SettingsTable {
    public static let table = OrchestrationTable()

    /// `nil`: the host's own name.
    public let hostName = optional("join.orchestration.host-name", .hostName, .both(.live))
    /// `nil`: the platform that the program was built for.
    public let platform = optional("join.orchestration.platform", .platform, .both(.live))
    public let executionType = optional("join.orchestration.execution-type", .executionType, .both(.live))
    public let services = serviceList("join.orchestration.services", .both(.live))
    public let labels = mapping(
      "join.orchestration.labels", from: .labelName, to: .labelValue, limit: Wire.Orchestration.maximumLabels,
      isUnique: false, .both(.live))
  }

  /// The section `relay`.
  public struct RelayTable: SettingsTable {
    public static let table = RelayTable()

    /// Numeric addresses. With port 0 the kernel chooses. Empty: the first of `usualListen` that the kernel has.
    public let listen = list("relay.listen", .listen, none: "auto", .relay(.restart))
    /// The virtual addresses to lease from. A larger pool that contains the present one needs no restart.
    public let pool = one(
      "relay.pool", .pool, .prefix(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24)), .relay(.live))
    /// The IPv6 addresses that go with them.
    public let pool6 = one("relay.pool6", .pool6, .auto, .relay(.restart))
    /// How long a device must have been away before another may get its address, in a full pool.
    public let leaseAge = one(
      "relay.lease-age", .duration(.zero ... .seconds(3650 * 86_400)), .seconds(30 * 86_400), .relay(.restart))
    /// Fixed virtual addresses by device ID.
    public let addresses = mapping("relay.addresses", to: .virtualAddress, .relay(.restart))
    /// Whether the relay's host is a device, at an address of the pool that no other device gets.
    public let device = one("relay.device", .boolean, true, .relay(.restart))
    public let interface = one("relay.interface", .interface, "mnedc0", .relay(.restart))
    public let mtu = one("relay.mtu", .mtu, 1400, .relay(.restart))
    public let offload = one("relay.offload", .offload, .auto, .relay(.restart))
    /// After this silence the relay asks a device for an echo.
    public let keepalive = one(
      "relay.keepalive", .duration(.milliseconds(500) ... .seconds(300)), .seconds(2), .relay(.live))
    /// What the interval grows to on an idle connection. Never less than `keepalive`.
    public let idleKeepalive = one(
      "relay.idle-keepalive", .duration(.milliseconds(500) ... .seconds(600)), .seconds(30), .relay(.live))
    public let congestionControl = one("relay.congestion-control", .congestionControl, .auto, .relay(.restart))
    /// The limit of each destination's send queue, in bytes.
    public let queue = one("relay.queue", .size(256 << 10...64 << 20), 4 << 20, .relay(.live))
    /// The limit of all send queues together, in bytes.
    public let memory = one("relay.memory", .size(16 << 20...64 << 30), 256 << 20, .relay(.restart))
    /// In a network of more devices than this, a device hears only of those that it communicates with.
    public let peerList = one(
      "relay.peer-list", .wholeNumber("a number of devices", in: 0...5000), 1000, .relay(.restart))
    public let threads = one("relay.threads", .threads, .auto, .relay(.restart))
    /// The path of the control socket.
    public let socket = one("relay.socket", .socketPath, "/run/mnedc/mnedcd.sock", .relay(.restart))
    /// The directory of the relay's key, devices, leases and invites.
    public let state = one("relay.state", .directory, "/var/lib/mnedcd", .relay(.restart))
    public let admission = one("relay.admission", .admission, .invite, .relay(.live))
    public let user = one("relay.user", .user, .auto, .relay(.restart))
    /// The relay's addresses for devices, as invites give them. Empty: the addresses of its host.
    public let publicAddresses = list("relay.public-address", .server, .relay(.live))
  }

  /// The rows of all tables, in the order in which the keys are shown.
  static let rows: [any SettingsRow] =
    TopTable.rows + MetricsTable.rows + JoinTable.rows + OrchestrationTable.rows + RelayTable.rows

  /// The name of each key, then of each section, and the path of the section that it stands in (`nil`: none). Each
  /// section has keys of its own, so an outer section comes before the sections in it.
  static let places: [(section: String?, name: String)] = {
    var places = rows.map { split($0.path) }
    for section in rows.compactMap({ split($0.path).section }).map(split) {
      if !places.contains(where: { $0 == section }) { places.append(section) }
    }
    return places
  }()

  private static func split(_ path: String) -> (section: String?, name: String) {
    guard let dot = path.lastIndex(of: ".") else { return (nil, path) }
    return (String(path[..<dot]), String(path[path.index(after: dot)...]))
  }
}
