internal import Link
internal import Noise
internal import SystemIO
internal import Tun
internal import Wire

// What the uplink reports, on the device's thread.
extension Device {
  // MARK: Joining

  /// A step of joining was reached.
  func uplinkReached(_ step: JoinStep) {
    onEvent(.reached(step, at: .now()))
  }

  /// Why this host cannot take part in `network`, whose relay it reaches at the address `host`; `nil` if it can.
  func uplinkObjection(to network: NetworkNotice, from host: String?) -> NetworkCollision? {
    let prefixes = HostNetwork.Prefix.pools(network.pool, network.pool6)
    let collision = collision(of: prefixes, from: host)
    // A device that has joined keeps the network as it was.
    if collision == nil || uplink.connection == nil {
      pools = prefixes
      relayHost = host
      note(collision)
    }
    return collision
  }

  /// The relay has admitted this device.
  func uplinkJoined(_ welcome: Welcome) {
    uplinkReached(.address(welcome.address, in: welcome.pool))
    guard let new = configure(welcome) else { return }
    uplinkReached(.interface(tun.name))
    joins += 1
    if let path = uplink.path { locator.trace(from: path.local, to: path.peer, outer: welcome.outerAddress) }
    if let former = neighbourhood.membership, former.address != new.address {
      direct?.endAll("this device's address has changed")
    }
    neighbourhood.rejoin(new)
    neighbourhood.relay.connection = uplink.connection
    direct?.relayIsAwaySince = nil
    updateReading()
    onEvent(.joined(address: new.address, pool: new.pool, server: uplink.server ?? ""))
  }

  /// The relay has changed the terms of this device's lease, but not its address.
  func uplinkRenewed(_ welcome: Welcome, from host: String?) {
    guard let former = neighbourhood.membership,
      (former.pool, former.pool6, former.relayAddress) != (welcome.pool, welcome.pool6, welcome.relayAddress)
    else { return }
    if let collision = uplinkObjection(to: welcome.network, from: host) {
      // A network without its new part is better than none.
      return onEvent(
        .warning("\(collision); this device stays in \(former.pool), as it was, until it has to connect anew"))
    }
    guard let new = configure(welcome) else { return }
    neighbourhood.change(new)
    onEvent(.networkChanged(pool: new.pool, pool6: new.pool6))
  }

  /// Configures the interface as the welcome says; `nil` if that has failed, and the device with it.
  private func configure(_ welcome: Welcome) -> Membership? {
    let missing: MissingIPv6?
    do {
      missing = try tun.configure(
        address: welcome.address, in: welcome.pool, and: welcome.pool6, mtu: settings.mtu)
    } catch {
      fail(.configure(error))
      return nil
    }
    note(missing)
    return Membership(
      address: welcome.address, pool: welcome.pool, relayAddress: welcome.relayAddress, pool6: welcome.pool6,
      address6: missing == nil ? welcome.pool6?.address(of: welcome.address) : nil)
  }

  // MARK: While joined

  func uplinkReceived(_ message: ControlMessage) {
    switch message {
    case .peers(let update):
      take(update)
    case .standing(let answer):
      take(answer)
    case .unreachable(let sought):
      switch sought {
      case .address(let address):
        pump.markAbsent(address)
        exchange.isGone(address)
      case .label(let label): neighbourhood.searches.markAbsent(label, at: .now())
      }
    default:
      break  // Nothing else is for a device that has joined; what a newer relay may add does no harm.
    }
  }

  private func take(_ update: PeerUpdate) {
    let wasComplete = neighbourhood.isComplete
    var changes: [PeerChange] = []
    if pump.update(update, { changes.append($0) }) == .missedSome {
      uplink.connection?.send(control: ControlMessage.sync.frame())
    }
    report(changes)
    askForStanding(neighbourhood.takeDoubtful())
    if !wasComplete, neighbourhood.isComplete {
      awaitReturn(joins, until: Instant.now().advanced(by: Neighbourhood.returnTime))
    }
    for peer in neighbourhood.searches.isEmpty ? [] : update.joined {
      if let known = neighbourhood.listed(peer.address) { neighbourhood.searches.find(known.peer) }
    }
    updateReading()
  }

  /// Asks the relay whether peers that it does not list, and that this device reaches without it, still belong to the
  /// network. Those for which it has no answer in time are dismissed.
  private func askForStanding(_ states: [PeerState]) {
    guard let connection = uplink.connection else { return }
    var rest = states[...]
    while !rest.isEmpty {
      let part = rest.prefix(Standing.maximumKeys)
      rest = rest.dropFirst(part.count)
      for state in part { unanswered[state.peer.key] = state }
      connection.send(control: ControlMessage.standing(Standing(keys: part.map(\.peer.key))).frame())
    }
    guard !states.isEmpty else { return }
    events.schedule(after: Self.standingTime) { [weak self] in
      guard let self, uplink.connection === connection else { return }
      for state in states { if unanswered.removeValue(forKey: state.peer.key) != nil { dismiss(state) } }
    }
  }

  private func take(_ answer: Standing) {
    guard let known = answer.known else { return }
    for key in answer.keys {
      guard let state = unanswered.removeValue(forKey: key), !known.contains(key) else { continue }
      dismiss(state)
    }
  }

  /// A peer that the relay does not list counts as gone.
  func dismiss(_ state: PeerState) {
    guard state.isWithoutRelay else { return }
    var changes: [PeerChange] = []
    neighbourhood.dismiss(state) { changes.append($0) }
    report(changes)
  }

  /// How long the relay may take to answer.
  private static let standingTime = Duration.seconds(2)

  private func report(_ changes: [PeerChange]) {
    if !changes.isEmpty { onEvent(.peers(changes.map(\.event))) }
    exchange.update(changes, isComplete: neighbourhood.isComplete)
  }

  /// Waits for peers that were there before the connection was lost. If it is lost again meanwhile, they have more
  /// time.
  private func awaitReturn(_ join: Int, until end: Instant) {
    guard !neighbourhood.returning.isEmpty else { return }
    events.schedule(after: .seconds(1)) { [weak self] in
      guard let self, self.joins == join, self.uplink.connection != nil else { return }
      if Instant.now() < end {
        self.pump.askForReturning()
        return self.awaitReturn(join, until: end)
      }
      let lost = self.neighbourhood.endReturn()
      for state in lost { self.pump.giveUp(state.address) }
      self.report(lost.map { .left($0) })
    }
  }

  /// The relay is about to end. It takes no more data, but still sends what it has.
  func uplinkDrains() {
    updateReading()
    onEvent(.draining(server: uplink.server ?? ""))
  }

  /// The relay admits the device only with this key from now on.
  func uplinkReplacedKey(_ key: PrivateKey) {
    links.replaceKey(with: key)
    onEvent(.keyReplaced(key.publicKey))
  }

  // MARK: The end of a connection

  /// The connection is made anew on purpose.
  func uplinkPauses() {
    if neighbourhood.relay.connection != nil { direct?.relayIsAwaySince = .now() }
    neighbourhood.relay.connection = nil
    updateReading()
    exchange.pause()
  }

  /// An attempt or a connection has ended; the next attempt comes after `retry`.
  func uplinkLost(_ reason: UplinkLoss, retry: Duration) {
    uplinkPauses()
    losses.add(reason, afterJoins: joins)
    yieldToHost()
    onEvent(.lost(reason, retry: retry))
  }

  /// Without connection, the host may be about to move into a network with the same addresses. The interface gives them
  /// up, or there might be no path to the relay any more.
  private func yieldToHost() {
    guard let membership = neighbourhood.membership,
      let collision = collision(of: HostNetwork.Prefix.pools(membership.pool, membership.pool6), from: nil)
    else { return }
    do {
      try tun.clearAddresses()
    } catch {
      return fail(.configure(error))
    }
    neighbourhood.leave()
    onEvent(.warning("\(collision); \(tun.name) has no address until that is over"))
  }
}
