public import Wire

/// Everything the configuration file can say, with what holds where it says nothing.
public struct Settings: Equatable, Sendable {
  /// A larger file is refused; a caller need not read more than one byte beyond it.
  public static let maximumFileSize = 1 << 20

  /// `server`: where devices find the relay, tried in this order. Empty if the file names none.
  public var servers: [ServerAddress] = []
  /// `server-key`: the relays' public keys, 32 bytes each, any of which will do. Empty trusts the first one seen.
  public var serverKeys: [[UInt8]] = []
  /// `device-id`: `nil` for the one derived from the machine's identity.
  public var deviceID: String?
  public var logLevel = LogLevel.info
  public var metrics = Metrics()
  public var join = Join()
  public var relay = Relay()

  public init() {}

  /// The section `metrics`.
  public struct Metrics: Equatable, Sendable {
    /// Numeric addresses at which the metrics are given out by HTTP; empty: none. Port 0 leaves the choice to the kernel.
    public var listen: [ServerAddress] = []
    /// Up to how many peers each has series of its own.
    public var peerLimit = 100

    public init() {}
  }

  /// The section `join`: this device.
  public struct Join: Equatable, Sendable {
    public var interface = "mnedc0"
    public var mtu = 1400
    /// The virtual address to ask the relay for; `nil` takes what it gives.
    public var address: IPv4Address?
    /// Whether a network may have addresses that mean something else on this host.
    public var allowOverlap = false
    /// Whether a network's pool may have addresses of the Internet.
    public var allowPublicPool = false
    /// How long the first join may take.
    public var timeout = Duration.seconds(30)
    public var offload = Offload.auto
    /// The path of the control socket.
    public var socket = "/run/mnedc/mnedc-join.sock"
    /// The directory of what must outlive the program: this device's key, and those of the relays it knows.
    public var state = "/var/lib/mnedc-join"
    public var cipher = Cipher.auto
    public var congestionControl = CongestionControl.auto
    /// Public keys of other devices by device ID, 32 bytes each; they count for more than what the relay says.
    public var peerKeys: [String: [UInt8]] = [:]
    public var names = Names.auto
    public var hostsFile = HostsFile.auto
    /// The program and its arguments that are run when something becomes of a peer; empty: none.
    public var onPeer: [String] = []
    /// Of how many peers the orchestration information is kept; in a network of more, it is asked for when it is needed.
    public var peerInformation = 250
    public var direct = Direct.auto
    /// The TCP port for direct connections of peers; 0 leaves the choice to the kernel.
    public var directPort: UInt16 = 0
    /// How long direct paths go on without the relay.
    public var directMaxOffline = Duration.seconds(86_400)
    public var orchestration = Orchestration()

    public init() {}
  }

  /// The section `join.orchestration`: what this device tells its peers of itself.
  public struct Orchestration: Equatable, Sendable {
    /// `nil` for the one that the host has.
    public var hostName: String?
    /// `nil` for what the program was built for.
    public var platform: String?
    public var executionType: String?
    public var services: [Wire.Orchestration.Service] = []
    public var labels: [String: String] = [:]

    public init() {}

    /// As the device of this ID tells it, but for the revision and for what only a running device knows.
    public func information(of deviceID: String) -> Wire.Orchestration {
      Wire.Orchestration(
        deviceID: deviceID, revision: 0, hostName: hostName, platform: platform ?? currentPlatform,
        executionType: executionType, services: services, labels: labels)
    }
  }

  /// The section `relay`.
  public struct Relay: Equatable, Sendable {
    /// Every address of the host: the first takes IPv4 too, and the second is for a kernel without IPv6.
    public static let usualListen = [ServerAddress(host: "::"), ServerAddress(host: "0.0.0.0")]

    /// Numeric addresses; port 0 leaves the choice to the kernel. Empty: the first of `usualListen` that the kernel
    /// has.
    public var listen: [ServerAddress] = []
    /// The virtual addresses to lease from.
    public var pool = Pool.prefix(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24))
    /// The IPv6 addresses that go with them.
    public var pool6 = Pool6.auto
    /// How long a device must have been away before another may get its address, in a pool that is full.
    public var leaseAge = Duration.seconds(30 * 86_400)
    /// Fixed virtual addresses by device ID.
    public var addresses: [String: IPv4Address] = [:]
    /// The relay host is itself a device, at an address of the pool that no other gets.
    public var device = true
    public var interface = "mnedc0"
    public var mtu = 1400
    public var offload = Offload.auto
    /// After this silence a device is asked for an echo.
    public var keepalive = Duration.seconds(2)
    /// What that grows to while no data goes; never less than `keepalive`.
    public var idleKeepalive = Duration.seconds(30)
    public var congestionControl = CongestionControl.auto
    /// The bound of each destination's send queue, in bytes.
    public var queue = 4 << 20
    /// The bound of all send queues together, in bytes.
    public var memory = 256 << 20
    /// In a network of more devices than this, a device is told only of those that it deals with.
    public var peerList = 1000
    public var threads = Threads.auto
    /// The path of the control socket.
    public var socket = "/run/mnedc/mnedcd.sock"
    /// The directory of what must outlive the program: the relay's key, leases and invites.
    public var state = "/var/lib/mnedcd"
    public var admission = AdmissionMode.invite
    public var user = User.auto
    /// Where devices find the relay, as invites name it; empty leaves that to be found out.
    public var publicAddresses: [ServerAddress] = []

    public init() {}
  }

  /// The names are those of swift-log, from the most talkative to the least.
  public enum LogLevel: String, CaseIterable, Sendable {
    case trace, debug, info, notice, warning, error, critical
  }

  /// Whether the TUN interface is made with segmentation offload.
  public enum Offload: String, CaseIterable, Sendable {
    /// As far as the kernel has it.
    case auto
    case off
  }

  /// Whether packets to a peer may take a direct path.
  public enum Direct: String, CaseIterable, Sendable {
    /// Where there is one.
    case auto
    case off
  }

  /// How the names of devices resolve on this one.
  public enum Names: String, CaseIterable, Sendable {
    /// By a server on this device, of which systemd-resolved is told if it runs, or else by the hosts file.
    case auto
    /// By that server alone.
    case resolver
    case off
  }

  /// The file that gets a block of names.
  public enum HostsFile: Equatable, Sendable {
    /// The system's, where nothing else resolves the names and it may be written.
    case auto
    case off
    case path(String)
  }

  /// What seals the packets between two devices.
  public enum Cipher: String, CaseIterable, Sendable {
    /// AES where both devices have instructions for it.
    case auto
    case aes256GCM = "aes-256-gcm"
    case chaCha20Poly1305 = "chacha20-poly1305"
  }

  /// What keeps the connection between device and relay from filling queues on its way.
  public enum CongestionControl: String, CaseIterable, Sendable {
    /// BBR while the path is slow, if the kernel has it.
    case auto
    /// What the system uses for all connections.
    case system
  }

  /// Whom the relay runs as once it has what only root can get.
  public enum User: Hashable, Sendable {
    /// `mnedc` if there is such a user, else `nobody`.
    case auto
    /// Root stays root if it is the name.
    case named(String)
  }

  /// The network that a relay leases from.
  public enum Pool: Hashable, Sendable {
    /// One that the relay chooses at its first start, clear of its host's own networks.
    case auto
    case prefix(IPv4Prefix)
  }

  /// A network's IPv6 addresses.
  public enum Pool6: Hashable, Sendable {
    /// Ones that the relay makes up at its first start.
    case auto
    /// None.
    case off
    case prefix(IPv6Prefix)
  }

  /// How many event loops the relay runs.
  public enum Threads: Hashable, Sendable {
    /// One a core, at most four.
    case auto
    case count(Int)
  }
}
