// The search for a free address continues where the last one ended, so a join costs no more in a large pool. Addresses
// that end in .0 or .255 are never leased, whatever the pool's length, because some systems take them for network and
// broadcast addresses.

public import Wire

/// The addresses that can be leased, and those that are fixed for one device.
///
/// Never leased are the network's address, its broadcast address, all others that end in .0 or .255, which some systems
/// take for these, and the relay's own.
public struct LeasePool: Equatable, Sendable {
  public let prefix: IPv4Prefix
  /// The relay host's own address.
  public let relayAddress: IPv4Address
  /// Addresses that the configuration fixes, by device ID. No other device gets them.
  public let fixed: [String: IPv4Address]
  private let owners: [IPv4Address: String]

  /// The relay has the pool's first address unless `relayAddress` is given.
  public init(_ prefix: IPv4Prefix, relayAddress: IPv4Address? = nil, fixed: [String: IPv4Address] = [:]) {
    precondition(prefix.length <= 30, "a pool has room for the relay and a device")
    self.prefix = prefix
    self.relayAddress = relayAddress ?? Self.firstAddress(of: prefix)
    self.fixed = fixed
    owners = Dictionary(fixed.map { ($0.value, $0.key) }) { first, _ in first }
  }

  /// The same for another prefix.
  public func with(_ prefix: IPv4Prefix) -> LeasePool {
    LeasePool(prefix, relayAddress: relayAddress, fixed: fixed)
  }

  /// The lowest address that a host can have.
  public static func firstAddress(of prefix: IPv4Prefix) -> IPv4Address { IPv4Address(bits: prefix.network.bits + 1) }

  /// Whether a host of this network can have the address.
  public static func isForHosts(_ address: IPv4Address, of prefix: IPv4Prefix) -> Bool {
    prefix.contains(address) && address != prefix.network && address != prefix.broadcast
      && address.bits & 0xFF != 0 && address.bits & 0xFF != 0xFF
  }

  /// Whether some device can have the address.
  public func isLeasable(_ address: IPv4Address) -> Bool {
    Self.isForHosts(address, of: prefix) && address != relayAddress
  }

  /// Whether the device of this ID can have the address.
  public func isLeasable(_ address: IPv4Address, to deviceID: String) -> Bool {
    isLeasable(address) && owners[address] ?? deviceID == deviceID
  }

  /// The ID of the device that the address is fixed for.
  public func owner(of address: IPv4Address) -> String? { owners[address] }

  /// How many devices can have an address at once, without the relay host.
  public var capacity: Int {
    let blocks = prefix.length < 24 ? 1 << (24 - prefix.length) : 1
    return prefix.count - 2 * blocks - 1
  }

  /// The lowest leasable address from `start` on that is not fixed.
  func nextFreelyLeasable(from start: Int64) -> IPv4Address? {
    var bits = max(start, Int64(prefix.network.bits))
    while bits < prefix.broadcast.bits {
      let address = IPv4Address(bits: UInt32(bits))
      if isLeasable(address), owners[address] == nil { return address }
      bits += 1
    }
    return nil
  }
}

/// Where the search for a free address of a pool begins: no lower address is free.
struct FreeSearch {
  private var prefix: IPv4Prefix?
  private var lowest: Int64 = 0

  /// The first address of the search.
  func start(in prefix: IPv4Prefix) -> Int64 { self.prefix == prefix ? lowest : 0 }

  /// No address of `prefix` below `bits` is free.
  mutating func begin(at bits: Int64, in prefix: IPv4Prefix) {
    self.prefix = prefix
    lowest = bits
  }

  /// The address is free from now on.
  mutating func note(_ address: IPv4Address) { lowest = min(lowest, Int64(address.bits)) }
}
