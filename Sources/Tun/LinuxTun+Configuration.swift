internal import SystemIO
internal import SystemPackage
public import Wire

// Addresses, link and routes: made as they should be, and made so again when another program has changed them.
extension LinuxTun {
  /// The packets that wait for a reader before more are dropped.
  private static let queueLength: UInt32 = 1000
  /// How long the kernel may take to make the local route of a new IPv6 address, which it leaves to a worker thread.
  private static let localRouteTime = Duration.milliseconds(500)

  @discardableResult public func configure(
    address: IPv4Address, in prefix: IPv4Prefix, and prefix6: IPv6Prefix?, mtu: Int
  ) throws(TunError) -> MissingIPv6? {
    let hasBroadcast = prefix.length < 31
    guard prefix.contains(address), !hasBroadcast || (address != prefix.network && address != prefix.broadcast) else {
      throw .addressRefused("\(address)/\(prefix.length)", reason: "it is no host's address in \(prefix)")
    }
    guard (68...65_535).contains(mtu) else { throw .mtuRefused(mtu, reason: "out of range") }
    let new = InterfaceConfiguration(address: address, prefix: prefix, prefix6: prefix6, mtu: mtu)
    wanted = new
    do {
      try netlink.setMTU(UInt32(mtu), of: index)
    } catch {
      throw TunError(mtu: mtu, of: name, error)
    }
    // Fails where IPv6 is off, and then there is nothing to stop.
    try? netlink.stopAddressGeneration(of: index)
    do {
      try netlink.setQueueLength(Self.queueLength, of: index)
    } catch {
      throw TunError(step: "setting the queue length of \(name)", error)
    }
    try setAddress(new.address4)
    do {
      try netlink.bringUp(index)
    } catch {
      throw TunError(step: "bringing \(name) up", error)
    }
    // Where IPv6 is off, there is nothing to take away.
    try? removeAddresses6(but: new.address6)
    return try restore().missingIPv6
  }

  private func setAddress(_ wanted: RouteNetlink.Address) throws(TunError) {
    do throws(NetlinkFailure) {
      let present = try netlink.addresses(of: index)
      if present == [wanted] { return }
      // The wanted one comes before others go, so that it is there all the time if only its prefix changes; except what
      // the kernel takes for the same.
      for other in present where other != wanted && other.isSame(as: wanted) { try remove(other) }
      if !present.contains(wanted) { try netlink.add(wanted, to: index) }
      for other in present where other != wanted && !other.isSame(as: wanted) { try remove(other) }
      // Where it was second in the network of one that has gone, it may have gone with that.
      if try !netlink.addresses(of: index).contains(wanted) { try netlink.add(wanted, to: index) }
    } catch {
      throw TunError(address: wanted.description, of: name, error)
    }
  }

  private func remove(_ address: RouteNetlink.Address) throws(NetlinkFailure) {
    do {
      try netlink.remove(address, from: index)
    } catch {
      // Gone with the first address of its network.
      guard error.error == .addressNotAvailable else { throw error }
    }
  }

  /// An address that comes new with another prefix needs the place of the former one, which the kernel takes for the
  /// same.
  private func removeAddresses6(but wanted: RouteNetlink.Address6?) throws(NetlinkFailure) {
    for address in try netlink.addresses6(of: index) where address != wanted {
      try netlink.remove(address, from: index)
    }
  }

  // MARK: Restoring

  public func restore() throws(TunError) -> InterfaceRepair {
    var repair = InterfaceRepair()
    do throws(NetlinkFailure) {
      guard let link = try netlink.link(index) else { throw NetlinkFailure(error: .noSuchAddressOrDevice, text: nil) }
      name = link.name
      guard let wanted else { return repair }
      // Before the interface itself, so that no packet for the network leaves by another one meanwhile.
      try guardPools(wanted.pools, &repair)
      if link.mtu != wanted.mtu {
        try netlink.setMTU(UInt32(wanted.mtu), of: index)
        repair.differences.append(.mtu(link.mtu))
      }
      try restoreAddress(wanted.address4, &repair)
      if !link.isUp {
        try netlink.bringUp(index)
        latestChange6 = .now()
        repair.differences.append(.down)
      }
      // A TUN has one as long as somebody reads from it, unless it was taken away.
      if !link.hasCarrier {
        try netlink.raiseCarrier(of: index)
        repair.differences.append(.noCarrier)
      }
      repair.missingIPv6 = restoreAddress6(wanted, &repair)
      // In a domain of its own (VRF), the routes are that domain's.
      if !link.isInDomain { try restoreRoutes(wanted, &repair) }
      return repair
    } catch {
      throw TunError(step: "restoring the addresses and routes of \(name)", error)
    }
  }

  private func restoreAddress(
    _ address: RouteNetlink.Address, _ repair: inout InterfaceRepair
  ) throws(NetlinkFailure) {
    guard try !netlink.addresses(of: index).contains(where: address.isSame(as:)) else { return }
    try netlink.add(address, to: index)
    repair.differences.append(.address(address.description))
  }

  private func restoreAddress6(_ wanted: InterfaceConfiguration, _ repair: inout InterfaceRepair) -> MissingIPv6? {
    guard let address = wanted.address6 else { return nil }
    guard wanted.mtu >= 1280 else { return .mtuTooSmall(wanted.mtu) }
    do throws(NetlinkFailure) {
      guard try !netlink.addresses6(of: index).contains(address) else { return nil }
      // Where IPv6 was switched off and on again, the kernel has begun anew.
      try? netlink.stopAddressGeneration(of: index)
      try netlink.add(address, to: index)
      latestChange6 = .now()
      repair.differences.append(.address(address.description))
      return nil
    } catch {
      return .refused(error.reason)
    }
  }

  /// The kernel makes these with the addresses, and takes no notice when they go.
  private func restoreRoutes(
    _ wanted: InterfaceConfiguration, _ repair: inout InterfaceRepair
  ) throws(NetlinkFailure) {
    let present = try netlink.interfaceRoutes(of: index)
    func lacks(_ kind: InterfaceRoute.Kind, _ prefix: HostNetwork.Prefix) -> Bool {
      !present.contains(InterfaceRoute(kind: kind, prefix: prefix))
    }
    let address = wanted.address4
    let (pool, own) = (
      HostNetwork.Prefix.ipv4(wanted.prefix), HostNetwork.Prefix.ipv4(IPv4Prefix(address.address, length: 32))
    )
    if lacks(.local, own) {
      // The kernel has more of them than this one.
      try remove(address)
      try netlink.add(address, to: index)
      repair.differences.append(.route(own))
    } else if wanted.prefix.length < 32, lacks(.link, pool) {
      try netlink.addLinkRoute(of: address, to: index)
      repair.differences.append(.route(pool))
    }
    guard repair.missingIPv6 == nil, let address6 = wanted.address6,
      let pool6 = wanted.prefix6.map(HostNetwork.Prefix.ipv6)
    else { return }
    let own6 = HostNetwork.Prefix.ipv6(IPv6Prefix(address6.address, length: 128))
    let isNew = latestChange6.map { Instant.now().since($0) < Self.localRouteTime } ?? false
    let lacksOwn = lacks(.local, own6)
    repair.isSettling = lacksOwn && isNew
    if lacksOwn, !isNew {
      try netlink.remove(address6, from: index)
      try netlink.add(address6, to: index)
      latestChange6 = .now()
      repair.differences.append(.route(own6))
    } else if lacks(.link, pool6) {
      try netlink.addLinkRoute(of: address6, to: index)
      repair.differences.append(.route(pool6))
    }
  }

  // MARK: Unreachable routes

  /// Makes packets for these networks unreachable wherever no other route takes them, and those for former ones no
  /// more.
  private func guardPools(_ pools: [HostNetwork.Prefix], _ repair: inout InterfaceRepair) throws(NetlinkFailure) {
    let present = try netlink.unreachableRoutes()
    for pool in pools where !present.contains(InterfaceRoute(kind: .unreachable, prefix: pool)) {
      do {
        try netlink.addUnreachableRoute(to: pool)
      } catch {
        // Without IPv6, nothing can leave by it.
        if case .ipv6 = pool { continue }
        throw error
      }
      repair.differences.append(.unreachableRoute(pool))
    }
    for former in guarded where !pools.contains(former) { try? netlink.removeUnreachableRoute(to: former) }
    guarded = pools
  }

  /// Removes the unreachable routes of programs that were killed: no interface has an address in their networks any
  /// more. Nothing without CAP_NET_ADMIN.
  public static func removeStaleRoutes() {
    guard var netlink = try? RouteNetlink(), let routes = try? netlink.unreachableRoutes(), !routes.isEmpty,
      let networks = try? netlink.networksByAddress()
    else { return }
    for route in routes where !networks.contains(where: { $0.prefix.overlaps(route.prefix) }) {
      try? netlink.removeUnreachableRoute(to: route.prefix)
    }
  }

  public func clearAddresses() throws(TunError) {
    wanted = nil
    for pool in guarded { try? netlink.removeUnreachableRoute(to: pool) }
    guarded = []
    do {
      for address in try netlink.addresses(of: index) { try remove(address) }
    } catch {
      throw TunError(step: "taking the addresses of \(name) away", error)
    }
    try? removeAddresses6(but: nil)
  }

  public func hostNetworks() throws(TunError) -> [HostNetwork] {
    try HostNetworks.networks(by: &netlink, except: index)
  }
}

extension InterfaceConfiguration {
  var address4: RouteNetlink.Address {
    // Networks of one or two addresses have no address for all.
    RouteNetlink.Address(
      address: address, prefixLength: prefix.length, broadcast: prefix.length < 31 ? prefix.broadcast : nil)
  }

  var address6: RouteNetlink.Address6? {
    prefix6.map { RouteNetlink.Address6(address: $0.address(of: address), prefixLength: $0.length) }
  }
}

extension RouteNetlink.Address {
  /// Whether the kernel would not have both on an interface.
  fileprivate func isSame(as other: Self) -> Bool {
    address == other.address && prefixLength == other.prefixLength
  }
}
