/// An IPv6 address: 128 bits in two halves, each in the host's byte order.
public struct IPv6Address: Hashable, Sendable, LosslessStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The textual forms of RFC 4291, section 2.2, but for the one with an IPv4 address at the end; no zone.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    let colon = UInt8(ascii: ":")
    let gap = bytes.indices.dropLast().first { bytes[$0] == colon && bytes[$0 + 1] == colon }
    guard let front = Self.groups(bytes[..<(gap ?? bytes.count)]),
      let back = gap.map({ Self.groups(bytes[($0 + 2)...]) }) ?? []
    else { return nil }
    let missing = 8 - front.count - back.count
    // "::" stands for a group at least, and nothing else may be left out.
    guard gap == nil ? missing == 0 : missing >= 1 else { return nil }
    let groups = front + [UInt16](repeating: 0, count: missing) + back
    func half(_ groups: ArraySlice<UInt16>) -> UInt64 { groups.reduce(0) { $0 << 16 | UInt64($1) } }
    self.init(high: half(groups[..<4]), low: half(groups[4...]))
  }

  /// Whether it means something behind a router alone: unique local (RFC 4193) and link-local.
  public var isPrivate: Bool { high >> 57 == 0xFC >> 1 || high >> 54 == 0xFE80 >> 6 }

  private static func groups(_ bytes: ArraySlice<UInt8>) -> [UInt16]? {
    if bytes.isEmpty { return [] }
    let parts = bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard parts.count <= 8 else { return nil }
    var groups: [UInt16] = []
    for part in parts {
      guard (1...4).contains(part.count), part.first != UInt8(ascii: "+"),
        let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
      else { return nil }
      groups.append(group)
    }
    return groups
  }

  /// As RFC 5952 has it: lower case, and the first of the longest runs of zero groups as "::".
  public var description: String {
    let groups = (0..<8).map { index in
      UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - index % 4 * 16))
    }
    var longest = 0..<0
    var start = 0
    while start < 8 {
      guard groups[start] == 0 else {
        start += 1
        continue
      }
      let end = groups[start...].firstIndex { $0 != 0 } ?? 8
      if end - start > longest.count { longest = start..<end }
      start = end
    }
    func text(_ groups: ArraySlice<UInt16>) -> String {
      groups.map { String($0, radix: 16) }.joined(separator: ":")
    }
    return longest.count < 2
      ? text(groups[...]) : "\(text(groups[..<longest.lowerBound]))::\(text(groups[longest.upperBound...]))"
  }
}

/// A range of IPv6 addresses with a common prefix, such as fd00:1:2:3::/96.
public struct IPv6Prefix: Hashable, Sendable, LosslessStringConvertible {
  /// The lowest address; its bits behind the prefix are zero.
  public let network: IPv6Address
  /// How many leading bits the addresses share, 0 to 128.
  public let length: Int

  /// The prefix of `length` bits around `address`.
  public init(_ address: IPv6Address, length: Int) {
    precondition((0...128).contains(length))
    self.length = length
    let mask = Self.mask(length)
    network = IPv6Address(high: address.high & mask.high, low: address.low & mask.low)
  }

  /// `fd00:1:2:3::/96`; `nil` unless the bits behind the prefix are zero.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, (1...3).contains(parts[1].utf8.count),
      parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
      let address = IPv6Address(String(parts[0])), let length = Int(parts[1]), length <= 128
    else { return nil }
    self.init(address, length: length)
    guard network == address else { return nil }
  }

  public var description: String { "\(network)/\(length)" }

  public func contains(_ address: IPv6Address) -> Bool {
    IPv6Prefix(address, length: length) == self
  }

  /// Whether any address lies in both: one of them contains the other then.
  public func overlaps(_ other: IPv6Prefix) -> Bool {
    contains(other.network) || other.contains(network)
  }

  private static func mask(_ length: Int) -> (high: UInt64, low: UInt64) {
    func ones(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? .max : .max << UInt64(64 - count) }
    return (ones(length), ones(length - 64))
  }
}

// MARK: A network's IPv6 addresses

extension IPv6Prefix {
  /// Whether it can be a network's: /96 within fd00::/8, the unique local addresses of RFC 4193 that anybody may make up.
  public var isPool: Bool { length == 96 && network.high >> 56 == 0xFD }

  /// The address that goes with a lease: its last 32 bits are the IPv4 address. Of a pool only.
  public func address(of lease: IPv4Address) -> IPv6Address {
    precondition(isPool)
    return IPv6Address(high: network.high, low: network.low | UInt64(lease.bits))
  }

  /// The lease that an address goes with; `nil` if it is none of this pool.
  public func lease(of address: IPv6Address) -> IPv4Address? {
    contains(address) ? IPv4Address(bits: UInt32(truncatingIfNeeded: address.low)) : nil
  }
}
