// Tables, sessions and frames know an IPv6 address only as the lease that it stands for, so IPv6 costs the relay
// nothing. The network carries no IPv6 multicast and no link-local packets; peers are known without neighbour
// discovery.

/// An IPv4 or IPv6 address.
public protocol IPAddress: Hashable, Sendable, LosslessStringConvertible, TextCodable {
  associatedtype Bits: FixedWidthInteger & UnsignedInteger & Sendable
  /// The address as a number, in the host's byte order.
  var bits: Bits { get }
  init(bits: Bits)
}

extension IPAddress {
  public var text: String { description }
  public init?(text: String) { self.init(text) }
}

public struct IPv4Address: IPAddress, Comparable {
  public let bits: UInt32

  public init(bits: UInt32) {
    self.bits = bits
  }

  /// Dotted decimal, four parts of 0 to 255 without leading zeros; anything else is `nil`.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bits: UInt32 = 0
    for part in parts {
      // The comparison refuses signs and leading zeros.
      guard let value = UInt8(part), part == "\(value)" else { return nil }
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

  /// Whether the address is valid only behind a router: RFC 1918, RFC 6598 (a provider's NAT), link-local.
  public var isPrivate: Bool { Self.privatePrefixes.contains { $0.contains(self) } }

  private static let privatePrefixes = [
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
  ].compactMap { IPv4Prefix($0) }

  /// Why no host can have the address (RFC 6890); `nil` if one can.
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

public struct IPv6Address: IPAddress {
  public let bits: UInt128

  public init(bits: UInt128) {
    self.bits = bits
  }

  public init(high: UInt64, low: UInt64) {
    bits = UInt128(high) << 64 | UInt128(low)
  }

  public var high: UInt64 { UInt64(bits >> 64) }
  public var low: UInt64 { UInt64(truncatingIfNeeded: bits) }

  /// The forms of RFC 4291, section 2.2, except the one that ends in an IPv4 address; no zone.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    let colon = UInt8(ascii: ":")
    let gap = bytes.indices.dropLast().first { bytes[$0] == colon && bytes[$0 + 1] == colon }
    guard let front = Self.groups(bytes[..<(gap ?? bytes.count)]),
      let back = gap.map({ Self.groups(bytes[($0 + 2)...]) }) ?? []
    else { return nil }
    let missing = 8 - front.count - back.count
    // "::" stands for one group or more.
    guard gap == nil ? missing == 0 : missing >= 1 else { return nil }
    bits = (front + [UInt16](repeating: 0, count: missing) + back).reduce(0) { $0 << 16 | UInt128($1) }
  }

  private static func groups(_ bytes: ArraySlice<UInt8>) -> [UInt16]? {
    if bytes.isEmpty { return [] }
    var groups: [UInt16] = []
    for part in bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false) {
      guard groups.count < 8, (1...4).contains(part.count), part.allSatisfy(\.isASCIIAlphanumeric),
        let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
      else { return nil }
      groups.append(group)
    }
    return groups
  }

  /// As RFC 5952 says: lower case, and "::" in place of the first of the longest runs of zero groups.
  public var description: String {
    let groups = stride(from: 112, through: 0, by: -16).map { UInt16(truncatingIfNeeded: bits >> UInt128($0)) }
    var longest = 0..<0
    var start = 0
    while start < 8 {
      let end = groups[start...].firstIndex { $0 != 0 } ?? 8
      if end - start > longest.count { longest = start..<end }
      start = end + 1
    }
    func text(_ groups: ArraySlice<UInt16>) -> String {
      groups.map { String($0, radix: 16) }.joined(separator: ":")
    }
    return longest.count < 2
      ? text(groups[...]) : "\(text(groups[..<longest.lowerBound]))::\(text(groups[longest.upperBound...]))"
  }

  /// Whether the address is valid only behind a router: unique local (RFC 4193) or link-local.
  public var isPrivate: Bool { high >> 57 == 0xFC >> 1 || high >> 54 == 0xFE80 >> 6 }
}

public typealias IPv4Prefix = IPPrefix<IPv4Address>
public typealias IPv6Prefix = IPPrefix<IPv6Address>

/// A range of addresses with a common prefix, such as 10.0.0.0/24 or fd00:1:2:3::/96.
public struct IPPrefix<Address: IPAddress>: Hashable, Sendable, LosslessStringConvertible, TextCodable {
  /// The lowest address; its bits behind the prefix are zero.
  public let network: Address
  /// How many leading bits the addresses share.
  public let length: Int

  /// The prefix of `length` bits around `address`.
  public init(_ address: Address, length: Int) {
    precondition((0...Address.Bits.bitWidth).contains(length))
    self.length = length
    network = Address(bits: address.bits & Self.mask(length))
  }

  /// `10.0.0.0/24`; `nil` unless the bits behind the prefix are zero.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    let longest = Address.Bits.bitWidth
    guard parts.count == 2, (1..."\(longest)".utf8.count).contains(parts[1].utf8.count),
      parts[1].utf8.allSatisfy(\.isASCIIAlphanumeric),
      let address = Address(String(parts[0])), let length = Int(parts[1]), length <= longest
    else { return nil }
    self.init(address, length: length)
    guard network == address else { return nil }
  }

  public var description: String { "\(network)/\(length)" }

  public var text: String { description }
  public init?(text: String) { self.init(text) }

  /// The highest address.
  @inlinable public var broadcast: Address { Address(bits: network.bits | ~Self.mask(length)) }

  @inlinable public func contains(_ address: Address) -> Bool {
    address.bits & Self.mask(length) == network.bits
  }

  /// Whether a host can have this address of the prefix: it is neither the network's own nor its broadcast address.
  @inlinable public func isHost(_ address: Address) -> Bool {
    contains(address) && address != network && address != broadcast
  }

  /// Whether any address lies in both, so that one of them contains the other.
  public func overlaps(_ other: IPPrefix) -> Bool {
    contains(other.network) || other.contains(network)
  }

  @inlinable static func mask(_ length: Int) -> Address.Bits { .max << (Address.Bits.bitWidth - length) }
}

extension IPv4Prefix {
  /// How many addresses lie in it, network and broadcast address included.
  public var count: Int { 1 << (32 - length) }

  /// Whether none of its addresses is used on the Internet: private (RFC 1918), shared (RFC 6598), or for measurements
  /// (RFC 2544). Link-local ones do not count: every link has them, and hosts rely on services there.
  public var isPrivate: Bool { Self.contain(privatePools, self) }

  /// Why a network should not have its addresses, a predicate such as "has addresses of the Internet"; `nil` if
  /// `isPrivate`.
  public var objectionAsPool: String? {
    if isPrivate { return nil }
    for (purpose, prefixes) in reservedPrefixes where Self.contain(prefixes, self) {
      return "is reserved for \(purpose)"
    }
    return "has addresses of the Internet"
  }

  private static func contain(_ prefixes: [IPv4Prefix], _ prefix: IPv4Prefix) -> Bool {
    prefixes.contains { $0.contains(prefix.network) && $0.length <= prefix.length }
  }
}

/// What the IANA IPv4 Special-Purpose Address Registry (RFC 6890) reserves, as far as no network may use it.
private let reservedPrefixes = [
  ("loopback addresses", ["127.0.0.0/8"]), ("link-local addresses", ["169.254.0.0/16"]),
  ("documentation", ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]), ("multicast", ["224.0.0.0/4"]),
  ("other purposes", ["0.0.0.0/8", "192.0.0.0/24", "240.0.0.0/4"]),
].map { (purpose: $0.0, prefixes: $0.1.compactMap { IPv4Prefix($0) }) }

private let privatePools = [
  "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15",
].compactMap { IPv4Prefix($0) }

extension IPv6Prefix {
  /// Whether a network can use it for its IPv6 addresses: a /96 within fd00::/8, the unique local addresses of RFC 4193
  /// that anybody may choose.
  public var isPool: Bool { length == 96 && network.high >> 56 == 0xFD }

  /// The IPv6 address that belongs to a lease: its last 32 bits are the IPv4 address. Precondition: `isPool`.
  public func address(of lease: IPv4Address) -> IPv6Address {
    precondition(isPool)
    return IPv6Address(bits: network.bits | UInt128(lease.bits))
  }

  /// The lease that an IPv6 address belongs to; `nil` if the address is not of this pool.
  public func lease(of address: IPv6Address) -> IPv4Address? {
    contains(address) ? IPv4Address(bits: UInt32(truncatingIfNeeded: address.bits)) : nil
  }
}
