public import Store
public import Wire

/// The network that a relay serves.
public struct RelayNetwork: Sendable {
  /// The addresses to lease; the pool may grow.
  public internal(set) var pool: LeasePool
  /// The prefix of the leases' IPv6 addresses; `nil`: they have none.
  public let pool6: IPv6Prefix?

  public init(pool: LeasePool, pool6: IPv6Prefix? = nil) {
    self.pool = pool
    self.pool6 = pool6
  }

  /// Makes the pool larger; no address changes.
  public mutating func grow(to prefix: IPv4Prefix) { pool = pool.with(prefix) }

  /// The record of this network with a larger pool. Compares with the stored pool, since a growth may have been
  /// committed that is not in force yet.
  public func growth(
    to prefix: IPv4Prefix, _ records: any NetworkRecords
  ) throws(StoreError) -> (Result<Void, PoolError>, [RecordChange]) {
    var network =
      try records.network() ?? NetworkRecord(pool: pool.prefix, relayAddress: pool.relayAddress)
    guard prefix.contains(network.pool) else { return (.failure(.notLarger(prefix, than: network.pool)), []) }
    guard prefix != network.pool else { return (.success(()), []) }
    network.pool = prefix
    return (.success(()), [.putNetwork(network)])
  }
}

extension RelayNetwork {
  public enum PoolChoice: Sendable {
    /// The relay chooses at its first start, avoiding these networks, and keeps its choice.
    case auto(avoiding: [IPv4Prefix])
    case prefix(IPv4Prefix)
  }

  /// Why a relay cannot start with its configuration.
  public enum Problem: Error, CustomStringConvertible {
    case store(StoreError)
    /// No private network is free.
    case noPool
    /// No device can have this address of the pool, which is fixed for one.
    case notForHosts(IPv4Address, deviceID: String, IPv4Prefix)
    /// It is the relay's own.
    case ofRelay(IPv4Address, deviceID: String)

    public var description: String {
      switch self {
      case .store(let error): error.description
      case .noPool:
        "this host has addresses in, or routes to, all private networks, so that no pool can be chosen; name one "
          + "(relay.pool) that its devices have no other use for"
      case .notForHosts(let address, let deviceID, let pool):
        "relay.addresses gives \(address) to \(deviceID), but the pool \(pool) has no such address to lease; none is "
          + "leased that ends in .0 or .255, nor the first and the last"
      case .ofRelay(let address, let deviceID):
        "relay.addresses gives \(address) to \(deviceID), but that is the relay's own; choose another"
      }
    }
  }

  /// Throws if no device of the pool can have one of the fixed addresses.
  public static func check(_ fixed: [String: IPv4Address], of prefix: IPv4Prefix) throws(Problem) {
    for (deviceID, address) in fixed.sorted(by: { $0.key < $1.key })
    where !LeasePool.isForHosts(address, of: prefix) {
      throw .notForHosts(address, deviceID: deviceID, prefix)
    }
  }

  /// The network to serve from now on, by the configuration and the stored network of the last run. The relay's own
  /// address stays if the pool has it. The store keeps leases outside the pool, but their devices get others. Waits for
  /// the store.
  ///
  /// `notices` are lines for the operator. Changes nothing if it throws.
  public static func settle(
    in store: any NetworkStore, pool: PoolChoice, pool6: Pool6Choice, fixed: [String: IPv4Address] = [:]
  ) throws(Problem) -> (network: RelayNetwork, notices: [String]) {
    let result: Result<(RelayNetwork, [String]), Problem>
    do throws(StoreError) {
      result = try store.performAndWait { records throws(StoreError) in try settle(records, pool, pool6, fixed) }
    } catch {
      throw .store(error)
    }
    let (network, notices) = try result.get()
    return (network, notices)
  }

  private static func settle(
    _ records: any NetworkRecords, _ pool: PoolChoice, _ pool6: Pool6Choice, _ fixed: [String: IPv4Address]
  ) throws(StoreError) -> (Result<(RelayNetwork, [String]), Problem>, [RecordChange]) {
    let former = try records.network()
    var random = SystemRandomNumberGenerator()
    var (ownPool, ownPool6) = (former?.ownPool, former?.ownPool6)

    let prefix: IPv4Prefix
    switch pool {
    case .prefix(let wanted): prefix = wanted
    case .auto(let networks):
      ownPool = ownPool ?? AutomaticPool.choose(avoiding: networks, using: &random)
      guard let ownPool else { return (.failure(.noPool), []) }
      prefix = ownPool
    }
    let prefix6: IPv6Prefix?
    switch pool6 {
    case .prefix(let wanted): prefix6 = wanted
    case .off: prefix6 = nil
    case .auto:
      ownPool6 = ownPool6 ?? AutomaticPool.makePool6(using: &random)
      prefix6 = ownPool6
    }
    let formerAddress = former?.relayAddress
    let relayAddress = formerAddress.flatMap { LeasePool.isForHosts($0, of: prefix) ? $0 : nil }
    let pool = LeasePool(prefix, relayAddress: relayAddress, fixed: fixed)
    do throws(Problem) {
      try check(fixed, of: prefix)
    } catch {
      return (.failure(error), [])
    }
    if let owner = pool.owner(of: pool.relayAddress) {
      return (.failure(.ofRelay(pool.relayAddress, deviceID: owner)), [])
    }

    var notices: [String] = []
    var changes: [RecordChange] = []
    for (deviceID, address) in fixed.sorted(by: { $0.key < $1.key }) {
      guard let lease = try records.lease(at: address), lease.deviceID != deviceID else { continue }
      changes.append(.removeLease(address))
      let loser = lease.deviceID
      notices.append(
        "\(address) is for \(deviceID) now (relay.addresses); \(loser), which had it, gets another when it joins")
    }
    let network = NetworkRecord(
      pool: prefix, relayAddress: pool.relayAddress, ownPool: ownPool, ownPool6: ownPool6)
    if network != former { changes.append(.putNetwork(network)) }
    if let former, former.pool != prefix {
      let lost = try records.leases().count {
        !pool.isLeasable($0.address) && !changes.contains(.removeLease($0.address))
      }
      if lost > 0 { notices.append(notice(of: lost, former, network)) }
    }
    for ids in try records.labelClashes() {
      notices.append(
        "the devices \(ids.joined(separator: " and ")) make one host name "
          + "(\(HostLabel.label(of: ids[0])).\(HostLabel.domain)), so that it is any of theirs: rename all but one "
          + "(revoke it, and join with another --device-id)"
      )
    }
    return (.success((RelayNetwork(pool: pool, pool6: prefix6), notices)), changes)
  }

  private static func notice(of lost: Int, _ former: NetworkRecord, _ network: NetworkRecord) -> String {
    let own =
      former.relayAddress == network.relayAddress
      ? "" : ", and the relay has \(network.relayAddress) in place of \(former.relayAddress)"
    let devices = lost == 1 ? "device gets another address when it joins" : "devices get other addresses when they join"
    return "the pool is \(network.pool) and was \(former.pool): \(lost) \(devices)\(own)"
      + "; to undo it, write \(former.pool) to relay.pool and start again"
  }
}
