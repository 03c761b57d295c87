internal import Wire

/// Which device has which address. A lease stays with its device after that has left, so that it gets the same one again,
/// and is given to another only when there is no free address left: the one unused for longest first.
struct LeaseTable {
  let pool: IPv4Prefix
  /// The relay host's own: the pool's first.
  let relayAddress: IPv4Address

  private struct Lease {
    var deviceID: String
    /// Counts up with every join and leave, so the smallest is the oldest.
    var lastUsed: Int
    var isOnline: Bool
  }

  private var leases: [IPv4Address: Lease] = [:]
  private var addresses: [String: IPv4Address] = [:]
  private var uses = 0
  private var nextUntried: UInt32
  /// Addresses that a device has given up for another one.
  private var vacated: Set<IPv4Address> = []

  init(pool: IPv4Prefix) {
    precondition(pool.length <= 30, "a pool has room for the relay and a device")
    self.pool = pool
    relayAddress = IPv4Address(bits: pool.network.bits + 1)
    nextUntried = relayAddress.bits + 1
  }

  /// How many devices can have an address at once, the relay host not counted.
  var capacity: Int { pool.count - 3 }

  /// Who has, or had last, this address.
  func holder(of address: IPv4Address) -> String? { leases[address]?.deviceID }

  var online: Int { leases.values.count { $0.isOnline } }

  /// Gives `deviceID` an address and marks it in use: the one it had, or the one it `wants`, or a free one.
  mutating func take(
    for deviceID: String, wants wanted: IPv4Address?, required: Bool
  ) -> Result<IPv4Address, Refusal> {
    if let wanted, required {
      if let problem = objection(to: wanted, from: deviceID) { return .failure(problem) }
      return .success(bind(wanted, to: deviceID))
    }
    if let address = addresses[deviceID] { return .success(bind(address, to: deviceID)) }
    if let wanted, objection(to: wanted, from: deviceID) == nil { return .success(bind(wanted, to: deviceID)) }
    guard let address = nextFree() ?? oldestUnused() else {
      return .failure(
        Refusal(
          .poolFull, "the pool \(pool) is full: all \(capacity) addresses are in use; give the relay a larger pool"))
    }
    return .success(bind(address, to: deviceID))
  }

  /// Marks an address as not in use; it stays leased.
  mutating func release(_ address: IPv4Address) {
    uses += 1
    leases[address]?.lastUsed = uses
    leases[address]?.isOnline = false
  }

  private mutating func bind(_ address: IPv4Address, to deviceID: String) -> IPv4Address {
    if let old = addresses[deviceID], old != address {
      leases[old] = nil
      vacated.insert(old)
    }
    if let former = leases[address]?.deviceID, former != deviceID { addresses[former] = nil }
    vacated.remove(address)
    uses += 1
    leases[address] = Lease(deviceID: deviceID, lastUsed: uses, isOnline: true)
    addresses[deviceID] = address
    return address
  }

  private func objection(to address: IPv4Address, from deviceID: String) -> Refusal? {
    guard pool.contains(address), address != pool.network, address != pool.broadcast, address != relayAddress else {
      return Refusal(
        .addressTaken, "\(address) cannot be leased: the pool is \(pool), and \(relayAddress) is the relay's own")
    }
    if let lease = leases[address], lease.deviceID != deviceID {
      return Refusal(.addressTaken, "\(address) is leased to \(lease.deviceID); ask for another address or for none")
    }
    return nil
  }

  private mutating func nextFree() -> IPv4Address? {
    if let address = vacated.min() { return address }
    while nextUntried < pool.broadcast.bits {
      let address = IPv4Address(bits: nextUntried)
      nextUntried += 1
      if leases[address] == nil { return address }
    }
    return nil
  }

  private func oldestUnused() -> IPv4Address? {
    leases.filter { !$0.value.isOnline }.min { $0.value.lastUsed < $1.value.lastUsed }?.key
  }
}
