internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

// What other programs change on this host while the device runs: its network, and the device's own interface.
extension Device {
  /// Watches this host's network for changes of the path to the relay, of the interface, and of networks that collide.
  func watchNetwork() {
    do {
      if case .servers = settings.route { uplink.pathFinder = try PathFinder() }
      monitor = try NetworkMonitor(on: events, own: try? interfaceIndex(of: tun.name)) { [unowned self] change in
        networkChanged(change)
      }
    } catch {
      onEvent(
        .warning(
          "this host's network cannot be watched for changes (\(error)): this device notices a lost path to the relay "
            + "later, and restores what other programs remove from \(tun.name) only at the next join or reload"))
    }
  }

  private func networkChanged(_ change: NetworkChange) {
    if change.hasLostOwnInterface { return fail(.lostInterface(tun.name)) }
    if change.concernsOwnInterface { keeper.check() }
    if change.concernsHost {
      checkCollision()
      direct?.networkChanged()
    }
    // The relay's own host reaches the relay within the process.
    if change.concernsHost, case .servers = settings.route { uplink.networkChanged(change) }
  }

  func take(_ news: InterfaceKeeper.News) {
    let name = tun.name
    switch news {
    case .missingIPv6(let missing): return take(missing)
    case .restored(let differences):
      onEvent(.notice("another program has changed \(name) (\(Self.text(differences))); it is restored"))
    case .contested(let count, let differences):
      onEvent(
        .warning(
          """
          other programs have changed \(name) \(count) times in a row (the last time, \(Self.text(differences))); from \
          now on it is restored after pauses of \(RestorationPace.shortestPause.components.seconds) to \
          \(RestorationPace.longestPause.components.seconds) seconds, in which connections through it fail; exclude \
          it from what manages this host's network, see THE INTERFACE in mnedc-join(8)
          """))
    case .calm(let count):
      return onEvent(.notice("other programs leave \(name) alone again; it was restored \(count) times"))
    case .failed(let error):
      return onEvent(.warning("\(name) cannot be restored: \(error); this program tries again"))
    case .renamed(let former):
      onEvent(.notice("the interface \(former) is called \(name) now"))
    }
    onEvent(.interfaceChanged(name))
  }

  private static func text(_ differences: [InterfaceRepair.Difference]) -> String {
    differences.map(\.description).joined(separator: ", ")
  }

  /// Has the membership say whether the interface has an IPv6 address, which changes as IPv6 is switched off or on.
  private func take(_ missing: MissingIPv6?) {
    guard var changed = neighbourhood.membership else { return }
    note(missing)
    changed.address6 = missing == nil ? changed.pool6?.address(of: changed.address) : nil
    guard changed != neighbourhood.membership else { return }
    neighbourhood.change(changed)
    onEvent(.interfaceChanged(tun.name))
  }

  /// Says once why there is no IPv6 address.
  func note(_ missing: MissingIPv6?) {
    if let missing, missing != missingIPv6 { onEvent(.warning("\(tun.name) has no IPv6 address: \(missing)")) }
    missingIPv6 = missing
  }

  /// Looks for collisions soon, as the host's networks have changed. A connected device stays connected: addresses that
  /// do not collide work.
  private func checkCollision() {
    guard !pools.isEmpty, !isCollisionCheckDue else { return }
    isCollisionCheckDue = true
    events.schedule(after: max(.zero, earliestCollisionCheck.since(.now()))) { [weak self] in
      guard let self else { return }
      isCollisionCheckDue = false
      let start = Instant.now()
      do {
        note(try findCollision(of: pools, from: relayHost))
      } catch {
        // The next join looks again, and warns.
      }
      // A router has many routes to list, and this thread carries the packets: it spends at most 2 % of its time on
      // that.
      let end = Instant.now()
      earliestCollisionCheck = end.advanced(by: end.since(start) * 50)
    }
  }

  /// The collision of `pools` with networks of this host, which reaches the relay at the address `host`; `nil` also if
  /// collisions are allowed or cannot be looked up.
  func collision(of pools: [HostNetwork.Prefix], from host: String?) -> NetworkCollision? {
    do {
      return try findCollision(of: pools, from: host)
    } catch {
      onEvent(.warning("whether the network collides with others of this host cannot be seen: \(error)"))
      return nil
    }
  }

  private func findCollision(
    of pools: [HostNetwork.Prefix], from host: String?
  ) throws(TunError) -> NetworkCollision? {
    guard !settings.allowOverlap else { return nil }
    if let relay = host.flatMap(HostNetwork.Prefix.init(host:)),
      let collision = NetworkCollision(of: pools, withRelayAt: relay)
    {
      return collision
    }
    return NetworkCollision(of: pools, with: try tun.hostNetworks(), isKnown: settings.hasJoined || joins > 0)
  }

  func note(_ collision: NetworkCollision?) {
    guard collision != currentCollision else { return }
    let former = currentCollision
    currentCollision = collision
    if let collision { onEvent(.collided(collision)) } else if let former { onEvent(.collisionEnded(former)) }
  }
}
