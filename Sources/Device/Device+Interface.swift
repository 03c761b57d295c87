internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

// What changes on this host while the device runs: its network, and what other programs do to the interface.
extension Device {
  /// Notices when the way to the relay may have changed, and what other programs do to the interface.
  func watchNetwork() {
    do {
      if case .servers = settings.route { uplink.pathFinder = try PathFinder() }
      monitor = try NetworkMonitor(on: events, own: try? interfaceIndex(of: tun.name)) { [unowned self] change in
        networkChanged(change)
      }
    } catch {
      onEvent(
        .warning(
          "changes of this host's network cannot be watched (\(error)), so a lost way is noticed later, and what other programs "
            + "take from \(tun.name) comes back at the next join or reload"))
    }
  }

  private func networkChanged(_ change: NetworkChange) {
    if change.hasLostOwnInterface { return fail(.lostInterface(tun.name)) }
    if change.concernsOwnInterface { keeper.check() }
    if change.concernsHost { checkCollision() }
    // The connection of the relay's own host leaves no process.
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
          other programs have changed \(name) \(count) times in a row (the last time, \(Self.text(differences))); from now on it is \
          restored after pauses of \(RestorationPace.shortestPause.components.seconds) to \
          \(RestorationPace.longestPause.components.seconds) seconds, in which connections through it fail; exclude it from \
          what manages this host's network, see THE INTERFACE in mnedc-join(8)
          """))
    case .calm(let count):
      return onEvent(.notice("other programs leave \(name) alone again; it was restored \(count) times"))
    case .failed(let error):
      return onEvent(.warning("\(name) is not as it should be: \(error); this is tried again"))
    case .renamed(let former):
      onEvent(.notice("the interface \(former) is called \(name) now"))
    }
    onEvent(.interfaceChanged(name))
  }

  private static func text(_ differences: [InterfaceRepair.Difference]) -> String {
    differences.map(\.description).joined(separator: ", ")
  }

  /// IPv6 may have been switched off or on.
  private func take(_ missing: MissingIPv6?) {
    guard var changed = membership else { return }
    note(missing)
    changed.address6 = missing == nil ? changed.pool6?.address(of: changed.address) : nil
    guard changed != membership else { return }
    membership = changed
    pump?.change(changed)
    onEvent(.interfaceChanged(tun.name))
  }

  /// Says once why there is no IPv6 address.
  func note(_ missing: MissingIPv6?) {
    if let missing, missing != missingIPv6 { onEvent(.warning("\(tun.name) has no IPv6 address: \(missing)")) }
    missingIPv6 = missing
  }

  /// The host's networks have changed. A device that is connected stays so: the addresses that do not collide work.
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
      // The list of a router's routes may be long, and this thread carries the packets.
      let end = Instant.now()
      earliestCollisionCheck = end.advanced(by: end.since(start) * 50)
    }
  }

  func note(_ collision: NetworkCollision?) {
    guard collision != currentCollision else { return }
    currentCollision = collision
    onEvent(.collided(collision))
  }
}
