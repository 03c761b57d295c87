public import Wire

/// The settings of a configuration file. A key that the file does not give has its default. The rows of
/// `SettingsTable.swift` are the members: `settings.relay.idleKeepalive`.
@dynamicMemberLookup
public struct Settings: Equatable, Sendable {
  /// In bytes. A larger file is refused, so a caller needs to read at most one byte more.
  public static let maximumFileSize = 1 << 20

  /// The values that were set, by the path of the key. A key without one has its default.
  var values: [String: any Sendable] = [:]

  public init() {}

  public subscript<Value>(dynamicMember key: KeyPath<TopTable, SettingsKey<Value>>) -> Value {
    get { TopTable.table[keyPath: key].value(in: self) }
    set { values[TopTable.table[keyPath: key].path] = newValue }
  }

  public var metrics: Metrics {
    get { Metrics(settings: self) }
    set { take("metrics.", of: newValue.settings) }
  }

  public var join: Join {
    get { Join(settings: self) }
    set { take("join.", of: newValue.settings) }
  }

  public var relay: Relay {
    get { Relay(settings: self) }
    set { take("relay.", of: newValue.settings) }
  }

  /// Copies the values of the keys whose paths begin so from `other`.
  fileprivate mutating func take(_ section: String, of other: Settings) {
    for key in Self.rows where key.path.hasPrefix(section) { values[key.path] = other.values[key.path] }
  }

  public static func == (left: Settings, right: Settings) -> Bool { rows.allSatisfy { $0.isEqual(left, right) } }

  /// The keys of one section.
  @dynamicMemberLookup
  public struct Section<Table: SettingsTable>: Equatable, Sendable {
    /// The settings of the whole file.
    fileprivate var settings: Settings

    public subscript<Value>(dynamicMember key: KeyPath<Table, SettingsKey<Value>>) -> Value {
      get { Table.table[keyPath: key].value(in: settings) }
      set { settings.values[Table.table[keyPath: key].path] = newValue }
    }

    /// Compares the keys of this section, without those of a section in it.
    public static func == (left: Section, right: Section) -> Bool {
      Table.rows.allSatisfy { $0.isEqual(left.settings, right.settings) }
    }
  }

  public typealias Metrics = Section<MetricsTable>
  public typealias Join = Section<JoinTable>
  public typealias Orchestration = Section<OrchestrationTable>
  public typealias Relay = Section<RelayTable>

  /// All addresses of the host: the first accepts IPv4 too, the second is for a kernel without IPv6.
  public static let usualListen = [ServerAddress(host: "::"), ServerAddress(host: "0.0.0.0")]

  /// The levels of swift-log, from the one with the most lines to the one with the fewest.
  public enum LogLevel: String, CaseIterable, Sendable {
    case trace, debug, info, notice, warning, error, critical
  }

  /// Whether the TUN interface has segmentation offload.
  public enum Offload: String, CaseIterable, Sendable {
    /// If the kernel supports it.
    case auto
    case off
  }

  /// Whether packets to a peer may take a direct path.
  public enum Direct: String, CaseIterable, Sendable {
    /// Where there is one.
    case auto
    case off
  }

  /// How the names of devices resolve on this host.
  public enum Names: String, CaseIterable, Sendable {
    /// By the name server of this device, which systemd-resolved asks. Without systemd-resolved, by the hosts file.
    case auto
    /// By the name server alone.
    case resolver
    case off
  }

  /// The file in which the daemon keeps a block of names.
  public enum HostsFile: Equatable, Sendable {
    /// `/etc/hosts`, if systemd-resolved does not resolve the names and the daemon may write the file.
    case auto
    case off
    case path(String)
  }

  /// The cipher for packets between two devices.
  public enum Cipher: String, CaseIterable, Sendable {
    /// AES if both processors have instructions for it.
    case auto
    case aes256GCM = "aes-256-gcm"
    case chaCha20Poly1305 = "chacha20-poly1305"
  }

  /// The congestion control of the connection between device and relay.
  public enum CongestionControl: String, CaseIterable, Sendable {
    /// BBR while the path is slow, if the kernel has it.
    case auto
    /// The system's default.
    case system
  }

  /// The user that the relay becomes when root starts it, once it has its sockets and its interface.
  public enum User: Hashable, Sendable {
    /// `mnedc` if that user exists, else `nobody`.
    case auto
    /// With the name `root` the relay stays root.
    case named(String)
  }

  /// The network of virtual addresses.
  public enum Pool: Hashable, Sendable {
    /// The relay chooses one at its first start that differs from the networks of its host.
    case auto
    case prefix(IPv4Prefix)
  }

  /// The number of the relay's event loops.
  public enum Threads: Hashable, Sendable {
    /// One per core, at most four.
    case auto
    case count(Int)
  }
}

extension Settings.Join {
  public var orchestration: Settings.Orchestration {
    get { Settings.Orchestration(settings: settings) }
    set { settings.take("join.orchestration.", of: newValue.settings) }
  }
}

extension Settings.Orchestration {
  /// The orchestration information of the device with this ID, without revision, load and place.
  public func information(of deviceID: String) -> Orchestration {
    Orchestration(
      deviceID: deviceID, revision: 0, hostName: self.hostName, platform: self.platform ?? currentPlatform,
      executionType: self.executionType, services: self.services, labels: self.labels)
  }
}

extension Settings {
  /// All keys in the order in which they are printed, and whether a reload takes a new value over.
  public static var keys: [(path: String, isReloadable: Bool)] { rows.map { ($0.path, $0.reach.uptake == .live) } }
}
