public import Wire

/// Chooses the pool of a relay whose configuration names none.
public enum AutomaticPool {
  private static let length = 24
  /// RFC 1918, the largest first.
  private static let privateNetworks = [
    IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 8), IPv4Prefix(IPv4Address(bits: 0xAC10_0000), length: 12),
    IPv4Prefix(IPv4Address(bits: 0xC0A8_0000), length: 16),
  ]
  /// Second numbers of 10.x.0.0/16 that routers, VPNs and container hosts often use.
  private static let popular: Set<UInt32> = [
    0, 1, 2, 8, 9, 10, 11, 20, 42, 43, 50, 64, 88, 89, 96, 100, 128, 152, 200, 233, 244, 254, 255,
  ]
  private static let tries = 256

  /// A private /24 that overlaps with none of `networks` and is rarely used; `nil` if there is none. Ignores prefixes
  /// shorter than /8, which are default routes rather than networks.
  public static func choose(
    avoiding networks: [IPv4Prefix], using random: inout some RandomNumberGenerator
  ) -> IPv4Prefix? {
    let networks = networks.filter { $0.length >= 8 }
    func isFree(_ prefix: IPv4Prefix) -> Bool { !networks.contains { $0.overlaps(prefix) } }
    for _ in 0..<tries {
      let (second, third) = (UInt32.random(in: 0...255, using: &random), UInt32.random(in: 1...254, using: &random))
      let prefix = IPv4Prefix(IPv4Address(bits: 10 << 24 | second << 16 | third << 8), length: length)
      if !popular.contains(second), isFree(prefix) { return prefix }
    }
    // Nearly all of 10.0.0.0/8 is in use: take any free prefix.
    for whole in privateNetworks {
      let count = UInt32(1) << UInt32(length - whole.length)
      let start = UInt32.random(in: 0..<count, using: &random)
      for step in 0..<count {
        let prefix = IPv4Prefix(IPv4Address(bits: whole.network.bits + (start + step) % count << 8), length: length)
        if isFree(prefix) { return prefix }
      }
    }
    return nil
  }

  /// A network's IPv6 addresses (RFC 4193): 40 random bits of global ID and a random subnet, so that no two are the
  /// same.
  static func makePool6(using random: inout some RandomNumberGenerator) -> IPv6Prefix {
    let numbers = UInt64.random(in: 0..<1 << 56, using: &random)
    return IPv6Prefix(IPv6Address(high: 0xFD << 56 | numbers, low: 0), length: 96)
  }
}

extension IPv4Prefix {
  /// Whether the prefixes share an address.
  func overlaps(_ other: IPv4Prefix) -> Bool { contains(other.network) || other.contains(network) }

  /// Whether it has all addresses of the other.
  func contains(_ other: IPv4Prefix) -> Bool { contains(other.network) && length <= other.length }
}
