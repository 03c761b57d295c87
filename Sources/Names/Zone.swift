public import Wire

/// The names that a device answers for: `DEVICE-ID.mnedc` (or another domain), and the reverse names of the network's
/// addresses. It refuses all other questions.
public struct Zone: Sendable {
  public var table = NameTable()
  public var pool: IPv4Prefix
  public var pool6: IPv6Prefix?

  /// How long a resolver may keep an answer, in seconds. A peer with a new address is found after so long. Questions
  /// stay within the host, so many of them cost little.
  public static let ttl: UInt32 = 5

  /// In lower case.
  public let domain: String
  private let domainLabels: [String]

  public init(pool: IPv4Prefix, pool6: IPv6Prefix?, domain: String = HostLabel.domain) {
    self.domain = domain
    domainLabels = domain.split(separator: ".").map(String.init)
    self.pool = pool
    self.pool6 = pool6
  }

  public enum Answer: Equatable, Sendable {
    case response(DNSResponse)
    /// No device here has this label, but the relay may know one. If it does not, the response holds.
    case unknown(label: String, DNSResponse)
  }

  public func answer(_ query: DNSQuery) -> Answer {
    guard query.classCode == 1 || query.classCode == 255 else { return .response(.refused) }
    guard query.type != .axfr, query.type != .ixfr else { return .response(.refused) }
    let labels = query.name.lowercased
    if labels.suffix(domainLabels.count) == domainLabels[...] { return forward(query, labels) }
    return .response(reverse(query, labels) ?? .refused)
  }

  // MARK: Names to addresses

  private func forward(_ query: DNSQuery, _ labels: [String]) -> Answer {
    let depth = domainLabels.count
    let apex = DNSName(labels: query.name.labels.suffix(depth))
    guard labels.count > depth else { return .response(top(query, apex)) }
    let missing = negative(.noSuchName, apex)
    guard labels.count == depth + 1 else { return .response(missing) }
    guard let address = table.address(of: labels[0]) else {
      return HostLabel.isValid(labels[0]) ? .unknown(label: labels[0], missing) : .response(missing)
    }
    var records: [DNSRecord] = []
    if query.type == .a || query.type == .any { records.append(record(query.name, .a, Self.bytes(address))) }
    if query.type == .aaaa || query.type == .any, let pool6 {
      records.append(record(query.name, .aaaa, Self.bytes(pool6.address(of: address))))
    }
    return .response(records.isEmpty ? negative(.noError, apex) : found(records))
  }

  // MARK: Addresses to names

  /// `nil`: the name is of none of this network's addresses.
  private func reverse(_ query: DNSQuery, _ labels: [String]) -> DNSResponse? {
    guard labels.count > 2, labels.last == "arpa" else { return nil }
    let digits = Array(labels.dropLast(2).reversed())
    let address: IPv4Address?
    let size: Int
    switch labels[labels.count - 2] {
    case "in-addr":
      size = (pool.length + 7) / 8
      guard digits.count >= size, let bits = Self.number(digits, radix: 10, width: 8, of: 32),
        pool.contains(IPv4Address(bits: UInt32(truncatingIfNeeded: bits.low)))
      else { return nil }
      address = digits.count == 4 ? IPv4Address(bits: UInt32(truncatingIfNeeded: bits.low)) : nil
      if digits.count > 4 { return negative(.noSuchName, top(of: query.name, size)) }
    case "ip6":
      guard let pool6 else { return nil }
      size = (pool6.length + 3) / 4
      guard digits.count >= size, let bits = Self.number(digits, radix: 16, width: 4, of: 128) else { return nil }
      let whole = IPv6Address(high: bits.high, low: bits.low)
      guard pool6.contains(whole) else { return nil }
      address = digits.count == 32 ? pool6.lease(of: whole) : nil
      if digits.count > 32 { return negative(.noSuchName, top(of: query.name, size)) }
    default:
      return nil
    }
    let apex = top(of: query.name, size)
    if digits.count == size, query.type == .soa || query.type == .ns { return top(query, apex) }
    let isWhole = digits.count == (labels[labels.count - 2] == "ip6" ? 32 : 4)
    // A part of an address has names below it, but no record.
    guard isWhole else { return negative(.noError, apex) }
    guard let address, let label = table.label(of: address) else { return negative(.noSuchName, apex) }
    guard query.type == .ptr || query.type == .any else { return negative(.noError, apex) }
    return found([record(query.name, .ptr, DNSName("\(label).\(domain)").bytes)])
  }

  /// The name of the smallest whole part of an address that contains the network or is filled by it.
  private func top(of name: DNSName, _ digits: Int) -> DNSName {
    DNSName(labels: name.labels.suffix(digits + 2))
  }

  /// The first bits of an address, of `size`; those that are not given are zero. `nil` for what is no number as it
  /// should be written.
  private static func number(
    _ digits: [String], radix: Int, width: Int, of size: Int
  ) -> (high: UInt64, low: UInt64)? {
    var (high, low) = (UInt64(0), UInt64(0))
    let count = size / width
    for index in 0..<count {
      var value = 0
      if index < digits.count {
        guard let number = Int(digits[index], radix: radix), (0..<(1 << width)).contains(number),
          String(number, radix: radix) == digits[index]
        else { return nil }
        value = number
      }
      high = high << UInt64(width) | low >> UInt64(64 - width)
      low = low << UInt64(width) | UInt64(value)
    }
    return (high, low)
  }

  // MARK: Records

  /// The answer about the domain itself.
  private func top(_ query: DNSQuery, _ apex: DNSName) -> DNSResponse {
    var records: [DNSRecord] = []
    if query.type == .soa || query.type == .any { records.append(authority(apex)) }
    if query.type == .ns || query.type == .any { records.append(record(apex, .ns, server.bytes)) }
    return records.isEmpty ? negative(.noError, apex) : found(records)
  }

  private var server: DNSName { DNSName("\(table.own?.label ?? "localhost").\(domain)") }

  private func found(_ records: [DNSRecord]) -> DNSResponse {
    DNSResponse(.noError, isAuthoritative: true, answers: records)
  }

  /// A negative answer; its SOA record says how long it may be kept (RFC 2308).
  private func negative(_ code: DNSCode, _ apex: DNSName) -> DNSResponse {
    DNSResponse(code, isAuthoritative: true, authority: [authority(apex)])
  }

  /// No server copies this zone, so only the last time matters.
  private func authority(_ apex: DNSName) -> DNSRecord {
    let numbers: [UInt32] = [1, 3600, 600, 86_400, Self.ttl]
    return record(
      apex, .soa,
      server.bytes + DNSName("hostmaster.\(domain)").bytes
        + numbers.flatMap { number in withUnsafeBytes(of: number.bigEndian) { Array($0) } })
  }

  private func record(_ name: DNSName, _ type: DNSType, _ data: [UInt8]) -> DNSRecord {
    DNSRecord(name, type, ttl: Self.ttl, data)
  }

  private static func bytes(_ address: IPv4Address) -> [UInt8] {
    withUnsafeBytes(of: address.bits.bigEndian) { Array($0) }
  }

  private static func bytes(_ address: IPv6Address) -> [UInt8] {
    withUnsafeBytes(of: (address.high.bigEndian, address.low.bigEndian)) { Array($0) }
  }
}

extension Zone {
  /// The domains of this zone: that of names, and those of addresses that belong to the network as a whole.
  public var domains: [String] {
    var domains = [domain]
    if pool.length % 8 == 0, pool.length > 0 {
      let octets = (0..<pool.length / 8).map { String(pool.network.bits >> UInt32(24 - 8 * $0) & 0xFF) }
      domains.append(octets.reversed().joined(separator: ".") + ".in-addr.arpa")
    }
    if let pool6, pool6.length % 4 == 0, pool6.length > 0 {
      let digits = (0..<pool6.length / 4).map { index in
        let half = index < 16 ? pool6.network.high : pool6.network.low
        return String(half >> UInt64(60 - 4 * (index % 16)) & 0xF, radix: 16)
      }
      domains.append(digits.reversed().joined(separator: ".") + ".ip6.arpa")
    }
    return domains
  }
}
