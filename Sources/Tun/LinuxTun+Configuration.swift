internal import CLinux
internal import SystemIO
internal import SystemPackage
public import Wire

// Configures addresses, link and routes, and restores them when another program has changed them.
extension LinuxTun {
  /// The packets that wait for a reader before the kernel drops more.
  private static let queueLength: UInt32 = 1000
  /// How long the kernel may take to make the local route of a new IPv6 address: a worker thread does that.
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
    try attempt("setting the queue length of \(name)") { () throws(NetlinkFailure) in
      try netlink.setQueueLength(Self.queueLength, of: index)
    }
    try setAddress(new.address4)
    try attempt("bringing \(name) up") { () throws(NetlinkFailure) in try netlink.bringUp(index) }
    // Fails where IPv6 is off, and then there is nothing to remove.
    try? removeAddresses6(but: new.address6)
    return try restore().missingIPv6
  }

  private func attempt(
    _ step: @autoclosure () -> String, _ body: () throws(NetlinkFailure) -> Void
  ) throws(TunError) {
    do {
      try body()
    } catch {
      throw TunError(step: step(), error)
    }
  }

  private func setAddress(_ wanted: RouteNetlink.Address) throws(TunError) {
    do throws(NetlinkFailure) {
      let present = try netlink.addresses(AF_INET, of: index)
      if present == [wanted] { return }
      // Add the wanted address before others are removed, so that it never goes missing if only its prefix changes. The
      // kernel allows no second address with the same prefix.
      for other in present where other != wanted && other.isSame(as: wanted) { try remove(other) }
      if !present.contains(wanted) { try netlink.add(wanted, to: index) }
      for other in present where other != wanted && !other.isSame(as: wanted) { try remove(other) }
      // The kernel removes secondary addresses of a network together with the first one.
      if try !netlink.addresses(AF_INET, of: index).contains(wanted) { try netlink.add(wanted, to: index) }
    } catch {
      throw TunError(address: wanted.description, of: name, error)
    }
  }

  private func add(_ address: RouteNetlink.Address) throws(NetlinkFailure) {
    try netlink.add(address, to: index)
    if address.host.isIPv6 { latestChange6 = .now() }
  }

  private func remove(_ address: RouteNetlink.Address) throws(NetlinkFailure) {
    do {
      try netlink.remove(address, from: index)
    } catch {
      // Removed with the first address of its network.
      guard error.error == .addressNotAvailable else { throw error }
    }
  }

  /// The kernel allows no IPv6 address twice, so one with another prefix is removed first.
  private func removeAddresses6(but wanted: RouteNetlink.Address?) throws(NetlinkFailure) {
    for address in try netlink.addresses(AF_INET6, of: index) where address != wanted { try remove(address) }
  }

  // MARK: Restoring

  public func restore() throws(TunError) -> InterfaceRepair {
    var repair = InterfaceRepair()
    try attempt("restoring the addresses and routes of \(name)") { () throws(NetlinkFailure) in
      guard let link = try netlink.link(index) else { throw NetlinkFailure(error: .noSuchAddressOrDevice) }
      name = link.name
      guard let wanted else { return }
      // Before the interface itself, so that no packet for the network leaves by another one meanwhile.
      try guardPools(wanted.pools, &repair)
      if link.mtu != wanted.mtu {
        try netlink.setMTU(UInt32(wanted.mtu), of: index)
        repair.differences.append(.mtu(link.mtu))
      }
      if try !netlink.addresses(AF_INET, of: index).contains(where: wanted.address4.isSame(as:)) {
        try add(wanted.address4)
        repair.differences.append(.address(wanted.address4.description))
      }
      if !link.isUp {
        try netlink.bringUp(index)
        latestChange6 = .now()
        repair.differences.append(.down)
      }
      // A TUN with a reader has a carrier unless a program took it away.
      if !link.hasCarrier {
        try netlink.raiseCarrier(of: index)
        repair.differences.append(.noCarrier)
      }
      repair.missingIPv6 = restoreAddress6(wanted, &repair)
      // A routing domain (VRF) has a table of its own.
      if !link.isInDomain { try restoreRoutes(wanted, &repair) }
    }
    return repair
  }

  private func restoreAddress6(_ wanted: InterfaceConfiguration, _ repair: inout InterfaceRepair) -> MissingIPv6? {
    guard let address = wanted.address6 else { return nil }
    guard wanted.mtu >= 1280 else { return .mtuTooSmall(wanted.mtu) }
    do throws(NetlinkFailure) {
      guard try !netlink.addresses(AF_INET6, of: index).contains(address) else { return nil }
      // The kernel resets this when IPv6 is switched off and on again.
      try? netlink.stopAddressGeneration(of: index)
      try add(address)
      repair.differences.append(.address(address.description))
      return nil
    } catch {
      return .refused(error.reason)
    }
  }

  /// The kernel makes these routes with the addresses, and does not restore them.
  private func restoreRoutes(
    _ wanted: InterfaceConfiguration, _ repair: inout InterfaceRepair
  ) throws(NetlinkFailure) {
    let present = try netlink.interfaceRoutes(of: index)
    for address in [wanted.address4] + (repair.missingIPv6 == nil ? [wanted.address6].compactMap { $0 } : []) {
      func lacks(_ kind: InterfaceRoute.Kind, _ prefix: HostNetwork.Prefix) -> Bool {
        !present.contains(InterfaceRoute(kind: kind, prefix: prefix))
      }
      let isNew = address.host.isIPv6 && latestChange6.map { Instant.now().since($0) < Self.localRouteTime } ?? false
      let lacksOwn = lacks(.local, address.host)
      if lacksOwn, isNew { repair.isSettling = true }
      if lacksOwn, !isNew {
        // The kernel makes more routes with the address than this one.
        try remove(address)
        try add(address)
        repair.differences.append(.route(address.host))
      } else if address.prefixLength < address.host.length, lacks(.link, address.network) {
        try netlink.addLinkRoute(of: address, to: index)
        repair.differences.append(.route(address.network))
      }
    }
  }

  // MARK: Unreachable routes

  /// Makes packets for `pools` unreachable wherever no other route takes them, and ends that for former pools.
  private func guardPools(_ pools: [HostNetwork.Prefix], _ repair: inout InterfaceRepair) throws(NetlinkFailure) {
    let present = try netlink.unreachableRoutes()
    for pool in pools where !present.contains(InterfaceRoute(kind: .unreachable, prefix: pool)) {
      do {
        try netlink.addUnreachableRoute(to: pool)
      } catch {
        // Without IPv6, no packet can leave by it.
        if pool.isIPv6 { continue }
        throw error
      }
      repair.differences.append(.unreachableRoute(pool))
    }
    for former in guarded where !pools.contains(former) { try? netlink.removeUnreachableRoute(to: former) }
    guarded = pools
  }

  /// Removes the unreachable routes of killed programs: no interface has an address in their networks. Does nothing
  /// without CAP_NET_ADMIN.
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
    try attempt("taking the addresses of \(name) away") { () throws(NetlinkFailure) in
      for address in try netlink.addresses(AF_INET, of: index) { try remove(address) }
    }
    try? removeAddresses6(but: nil)
  }

  public func hostNetworks() throws(TunError) -> [HostNetwork] {
    try HostNetworks.networks(by: &netlink, except: index)
  }
}

extension InterfaceConfiguration {
  var address4: RouteNetlink.Address {
    RouteNetlink.Address(
      host: .ipv4(IPv4Prefix(address, length: 32)), prefixLength: prefix.length,
      broadcast: prefix.length < 31 ? prefix.broadcast : nil)
  }

  var address6: RouteNetlink.Address? {
    prefix6.map {
      RouteNetlink.Address(host: .ipv6(IPv6Prefix($0.address(of: address), length: 128)), prefixLength: $0.length)
    }
  }
}

extension RouteNetlink.Address {
  /// Whether the kernel would not accept both on an interface.
  fileprivate func isSame(as other: Self) -> Bool {
    host == other.host && prefixLength == other.prefixLength
  }
}
