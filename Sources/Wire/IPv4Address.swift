/// An IPv4 address: 32 bits, kept in the host's byte order so that it can be compared and counted up.
public struct IPv4Address: Hashable, Comparable, Sendable, LosslessStringConvertible {
  public let bits: UInt32

  public init(bits: UInt32) {
    self.bits = bits
  }

  /// Dotted decimal, four parts of 0 to 255 without leading zeros; anything else is `nil`.
  public init?(_ text: String) {
    var bits: UInt32 = 0
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    for part in parts {
      guard (1...3).contains(part.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        part.count == 1 || part.first != "0", let value = UInt8(part)
      else { return nil }
      bits = bits << 8 | UInt32(value)
    }
    self.bits = bits
  }

  public var description: String {
    "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
  }

  public static func < (left: IPv4Address, right: IPv4Address) -> Bool {
    left.bits < right.bits
  }

  public var isMulticast: Bool { bits >> 28 == 0xE }

  /// 255.255.255.255
  public static let limitedBroadcast = IPv4Address(bits: .max)
}

/// A range of IPv4 addresses with a common prefix, such as 10.0.0.0/24.
public struct IPv4Prefix: Hashable, Sendable, LosslessStringConvertible {
  /// The lowest address; its bits behind the prefix are zero.
  public let network: IPv4Address
  /// How many leading bits the addresses share, 0 to 32.
  public let length: Int

  /// The prefix of `length` bits around `address`.
  public init(_ address: IPv4Address, length: Int) {
    precondition((0...32).contains(length))
    self.length = length
    self.network = IPv4Address(bits: address.bits & Self.mask(length))
  }

  /// `10.0.0.0/24`; `nil` unless the bits behind the prefix are zero.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...2).contains(parts[1].utf8.count),
      parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
      let address = IPv4Address(String(parts[0])), let length = Int(parts[1]), length <= 32
    else { return nil }
    self.init(address, length: length)
    guard network == address else { return nil }
  }

  public var description: String { "\(network)/\(length)" }

  /// The highest address, which reaches every host of the network.
  public var broadcast: IPv4Address { IPv4Address(bits: network.bits | ~Self.mask(length)) }

  public func contains(_ address: IPv4Address) -> Bool {
    address.bits & Self.mask(length) == network.bits
  }

  /// Whether a host can have this address of the prefix: it is not the network's own or its broadcast address.
  public func isHost(_ address: IPv4Address) -> Bool {
    contains(address) && address != network && address != broadcast
  }

  /// Whether any address lies in both: one of them contains the other then.
  public func overlaps(_ other: IPv4Prefix) -> Bool {
    contains(other.network) || other.contains(network)
  }

  /// How many addresses lie in it, network and broadcast among them.
  public var count: Int { 1 << (32 - length) }

  private static func mask(_ length: Int) -> UInt32 {
    length == 0 ? 0 : .max << UInt32(32 - length)
  }
}

extension IPv4Prefix {
  /// Whether none of its addresses is used on the Internet: private (RFC 1918), shared (RFC 6598), or for measurements
  /// (RFC 2544). Link-local ones do not count: every link has them, and hosts rely on services there.
  public var isPrivate: Bool { Self.privatePrefixes.contains { $0.contains(network) && $0.length <= length } }

  private static let privatePrefixes = [
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15",
  ].compactMap { IPv4Prefix($0) }
}

extension IPv4Address {
  /// Whether it means something behind a router alone: RFC 1918, RFC 6598 (a provider's NAT), link-local.
  public var isPrivate: Bool { Self.privatePrefixes.contains { $0.contains(self) } }

  private static let privatePrefixes = [
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
  ].compactMap { IPv4Prefix($0) }

  /// Why no host can have it (RFC 6890); `nil` if one can.
  public var specialUse: String? {
    switch bits >> 24 {
    case 0: #"in "this network" (0.0.0.0/8)"#
    case 127: "loopback (127.0.0.0/8)"
    case 224...239: "multicast (224.0.0.0/4)"
    case 240...: "reserved (240.0.0.0/4)"
    default: nil
    }
  }
}
