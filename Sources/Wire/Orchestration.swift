/// A device's orchestration information: what it tells its peers of itself, so that a scheduler knows what can run
/// there. Peers send it to each other sealed; the relay never has it.
public struct Orchestration: Codable, Sendable, Equatable {
  public var deviceID: String
  /// Rises with every change, also over restarts of the device: the highest one counts.
  public var revision: Int
  public var hostName: String?
  /// Operating system and processor, as `linux/arm64`.
  public var platform: String
  /// How the device runs work, such as `container` or `native`.
  public var executionType: String?
  public var services: [Service]
  public var labels: [String: String]
  /// How busy the device is: 0 is idle, 1 fully used; above 1 work waits.
  public var load: Double?
  public var place: Location?

  public init(
    deviceID: String, revision: Int, hostName: String? = nil, platform: String, executionType: String? = nil,
    services: [Service] = [], labels: [String: String] = [:], load: Double? = nil, place: Location? = nil
  ) {
    self.deviceID = deviceID
    self.revision = revision
    self.hostName = hostName
    self.platform = platform
    self.executionType = executionType
    self.services = services
    self.labels = labels
    self.load = load
    self.place = place
  }

  public struct Service: Codable, Sendable, Equatable {
    public var name: String
    public var version: String?
    public var port: Int?
    /// Such as `tcp` or `http`.
    public var `protocol`: String?
    public var health: Health

    public init(
      name: String, version: String? = nil, port: Int? = nil, protocol: String? = nil, health: Health = .up
    ) {
      self.name = name
      self.version = version
      self.port = port
      self.protocol = `protocol`
      self.health = health
    }
  }

  public enum Health: String, CaseIterable, Codable, Sendable {
    case up, degraded, down
  }

  /// The addresses between a device and the relay, as far as they are known.
  public struct Location: Codable, Sendable, Equatable {
    /// The source address of the device's connection as the relay sees it.
    public var outer: String?
    /// The device's own end of the connection.
    public var local: String?
    /// The routers on the path that have private addresses, the device's own first.
    public var hops: [String]

    public init(outer: String? = nil, local: String? = nil, hops: [String] = []) {
      self.outer = outer
      self.local = local
      self.hops = hops
    }

    /// The routers of the private networks that a host is behind: those before the first with a public address.
    public static func privateHops(_ routers: [String]) -> [String] {
      Array(routers.prefix { IPv4Address($0)?.isPrivate ?? IPv6Address($0)?.isPrivate ?? false })
    }
  }

  private enum CodingKeys: String, CodingKey {
    case revision, platform, services, labels, load, place
    case deviceID = "device_id"
    case hostName = "host_name"
    case executionType = "execution_type"
  }
}

extension Orchestration {
  /// The longest JSON, in bytes.
  public static let maximumSize = 16 << 10
  public static let maximumServices = 64
  public static let maximumLabels = 64
  public static let maximumHops = 8
  /// Of a version or a label's value, in bytes.
  public static let maximumText = 255
  public static let maximumPlatform = 64
  public static let loadRange = 0.0...1000.0
  /// As many as a number in JSON holds exactly.
  public static let revisions = 0...(1 << 53)

  /// What is wrong with it, for people; `nil` if it is valid. Does not check its size.
  public var problem: String? {
    guard DeviceID.isValid(deviceID) else { return "its device ID is none" }
    guard Self.revisions.contains(revision) else { return "its revision is out of range" }
    guard hostName.map(Self.isHostName) != false else { return "its host name is none" }
    guard Self.isPlatform(platform) else { return "its platform is none, such as linux/arm64 or docker" }
    guard executionType.map(Self.isName) != false else { return "its execution type is no name" }
    guard services.count <= Self.maximumServices else { return "it has more than \(Self.maximumServices) services" }
    guard Set(services.map(\.name)).count == services.count else { return "two of its services have one name" }
    for service in services {
      guard Self.isName(service.name) else { return "a service's name is none" }
      guard service.version.map(Self.isText) != false else { return "the version of \(service.name) is none" }
      guard service.port.map((1...65535).contains) != false else { return "the port of \(service.name) is none" }
      guard service.protocol.map(Self.isName) != false else { return "the protocol of \(service.name) is none" }
    }
    guard labels.count <= Self.maximumLabels else { return "it has more than \(Self.maximumLabels) labels" }
    for (name, value) in labels {
      guard Self.isName(name) else { return "a label's name is none" }
      guard Self.isText(value) else { return "the label \(name) has a value that is none" }
    }
    guard load.map(Self.loadRange.contains) != false else { return "its load is out of range" }
    guard let place else { return nil }
    guard place.hops.count <= Self.maximumHops else { return "it has more than \(Self.maximumHops) hops" }
    let addresses = place.hops + [place.outer, place.local].compactMap { $0 }
    return addresses.allSatisfy(Self.isAddress) ? nil : "an address of its place is none"
  }

  /// Names of services, labels, protocols and execution types: the rule of device IDs.
  public static func isName(_ text: String) -> Bool { DeviceID.isValid(text) }

  /// 1 to 255 bytes of harmless characters.
  public static func isText(_ text: String) -> Bool {
    (1...maximumText).contains(text.utf8.count) && text.unicodeScalars.allSatisfy(\.isHarmless)
  }

  /// 1 to 64 visible ASCII characters, no space among them.
  public static func isPlatform(_ text: String) -> Bool { text.isVisibleASCII(atMost: maximumPlatform) }

  /// Labels of letters, digits, `-` and `_`, with dots between them, 253 bytes at most.
  public static func isHostName(_ text: String) -> Bool {
    text.utf8.count <= 253
      && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isName(String($0)) }
  }

  /// A numeric address without a port or zone.
  public static func isAddress(_ text: String) -> Bool {
    IPv4Address(text) != nil || IPv6Address(text) != nil
  }

  /// The length of its JSON, in bytes. Precondition: the load is a number that JSON has.
  public var size: Int { JSON.encode(self).count }

  /// Its size with the longest values of what the device adds by itself: its ID, a revision, its host's name, a load,
  /// and its place.
  public var largestSize: Int {
    let address = "0000:0000:0000:0000:0000:0000:255.255.255.255"
    var whole = self
    whole.deviceID = String(repeating: "x", count: DeviceID.maximumLength)
    whole.revision = Self.revisions.upperBound
    whole.hostName = hostName ?? String(repeating: "x", count: 253)
    whole.load = 1000.0 / 3
    whole.place = Location(
      outer: address, local: address, hops: [String](repeating: address, count: Self.maximumHops))
    return whole.size
  }

  /// Why a device cannot send this, for people; `nil` if it can.
  public var obstacle: String? {
    if let problem { return problem }
    let size = largestSize
    return size <= Self.maximumSize
      ? nil : "it is up to \(size) bytes of JSON, of which there may be \(Self.maximumSize)"
  }
}

/// The platform that this program was built for, as orchestration information names it.
public let currentPlatform: String = {
  #if arch(arm64)
    "linux/arm64"
  #elseif arch(x86_64)
    "linux/amd64"
  #elseif arch(arm)
    "linux/arm"
  #elseif arch(riscv64)
    "linux/riscv64"
  #elseif arch(i386)
    "linux/386"
  #else
    "linux/unknown"
  #endif
}()
