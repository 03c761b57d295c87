// Candidates are the addresses at which a device may take direct connections. Either device tells the other its own,
// and dials those of the other.

internal import Link
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

extension DirectPaths {
  private static let dialTime = Duration.seconds(5)
  private static let maximumDials = 64

  // MARK: Candidates

  /// Packets are exchanged with a peer.
  func begin(with state: PeerState) {
    let now = Instant.now()
    let direct = state.direct ?? PeerDirect(state, self)
    state.direct = direct
    peers[state.address] = state
    guard !state.path.isDirect, !direct.isResting(at: now) else { return }
    if let last = direct.lastOffer {
      guard now.since(last) >= direct.wait else { return }
      direct.wait = min(direct.wait * 2, PeerDirect.longestWait)
    }
    offer(to: state, direct, at: now)
  }

  private func offer(to state: PeerState, _ direct: PeerDirect, at now: Instant) {
    guard let port = acceptor?.listener.address.port, state.peer.address != neighbourhood.membership?.relayAddress
    else { return }
    let own = candidates(port: port)
    guard links.send(PeerMessage.candidates(tcp: own).encoded(), to: state) else { return }
    direct.lastOffer = now
  }

  /// This host's addresses that a peer may reach.
  private func candidates(port: UInt16) -> [String] {
    let networks = (try? tun.hostNetworks()) ?? []
    var found: [String] = []
    for network in networks {
      guard case .address(let address) = network.origin, let interface = network.interface, interface != tun.name,
        let socket = SocketAddress(numeric: address, port: port), isDialable(socket),
        !InterfaceKind.isVirtual(interface)
      else { continue }
      if !found.contains(socket.description) { found.append(socket.description) }
    }
    return Array(found.prefix(PeerMessage.maximumCandidates))
  }

  private func isDialable(_ address: SocketAddress) -> Bool {
    guard address.port > 0, !address.isLoopback, address.scope == 0,
      let prefix = HostNetwork.Prefix(host: address.host)
    else { return false }
    switch prefix {
    case .ipv4(let network):
      guard network.network.specialUse == nil, neighbourhood.membership?.pool.contains(network.network) != true else {
        return false
      }
    case .ipv6(let network):
      guard !address.host.hasPrefix("fe80"), !address.host.hasPrefix("ff"), address.host != "::",
        neighbourhood.membership?.pool6?.overlaps(network) != true
      else { return false }
    }
    return true
  }

  /// The peer offers addresses.
  func take(_ candidates: [String], from state: PeerState) {
    let now = Instant.now()
    let isNew = state.direct == nil
    if isNew { begin(with: state) }
    guard let direct = state.direct, direct.takes.allow(at: now), !direct.isResting(at: now), acceptor != nil else {
      return
    }
    if !isNew, direct.lastOffer.map({ now.since($0) >= .seconds(5) }) ?? true { offer(to: state, direct, at: now) }
    guard !state.path.isDirect else { return }
    for candidate in candidates {
      guard let address = Self.socketAddress(candidate) else { continue }
      dial(address, state)
    }
  }

  private static func socketAddress(_ text: String) -> SocketAddress? {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    return SocketAddress(numeric: String(host), port: port)
  }

  // MARK: Dialling

  private func dial(_ address: SocketAddress, _ state: PeerState) {
    guard isDialable(address) else { return }
    let isOwn = address.port == acceptor?.listener.address.port && HostAddresses.include(address)
    let others = dials.filter { $0.state === state }
    guard !isOwn, dials.count < Self.maximumDials, others.count < PeerMessage.maximumCandidates,
      !others.contains(where: { $0.address == address })
    else { return }
    if let interface = interface(towards: address), interface == tun.name || InterfaceKind.isVirtual(interface) {
      return
    }
    do {
      let socket = try TCPSocket(connectingTo: address)
      let dial = DirectDial(address, state, self)
      let registration = try events.register(socket.descriptor, for: .writable, handler: dial)
      let timer = events.schedule(after: Self.dialTime) { [weak self, weak dial] in
        guard let self, let dial else { return }
        endDial(dial)
      }
      dial.attempt = DirectDial.Attempt(socket: socket, registration: registration, timer: timer)
      dials.append(dial)
    } catch {
      // There is no route to it, or descriptors are short; the next candidates may come with another.
    }
  }

  /// The name of the interface that packets for the address leave by.
  private func interface(towards address: SocketAddress) -> String? {
    guard var finder = try? PathFinder(), let path = finder.path(to: address) else { return nil }
    return interfaceName(of: path.interface)
  }

  @discardableResult func endDial(_ dial: DirectDial) -> TCPSocket? {
    dials.removeAll { $0 === dial }
    guard let attempt = dial.attempt.take() else { return nil }
    events.deregister(attempt.socket.descriptor, attempt.registration)
    events.cancel(attempt.timer)
    return attempt.socket
  }

  func dialled(_ dial: DirectDial) {
    guard let socket = endDial(dial) else { return }
    let (state, remote) = (dial.state, socket.peer)
    let descriptor = socket.takeDescriptor()
    guard descriptor.takeSocketError() == nil, let direct = state.direct, neighbourhood.peers[state.address] === state,
      state.link?.current != nil,
      let path = newPath(to: remote), let connection = open(descriptor, remote, isDialled: true)
    else { return }
    connection.bind(to: state, path)
    direct.connections.append(connection)
    let now = Instant.now()
    connection.ask(at: now)
    events.schedule(after: Self.proofTime) { [weak self, weak connection] in
      guard let self, let connection, !connection.isProven else { return }
      end(connection, "it did not prove to be the peer's")
    }
  }
}

/// An attempt to connect to an address that a peer has offered. Owned by the device's thread.
final class DirectDial: EventHandler {
  private unowned let paths: DirectPaths
  let state: PeerState
  let address: SocketAddress
  var attempt: Attempt?

  struct Attempt: ~Copyable {
    let socket: TCPSocket
    let registration: Registration
    let timer: Timer
  }

  init(_ address: SocketAddress, _ state: PeerState, _ paths: DirectPaths) {
    self.address = address
    self.state = state
    self.paths = paths
  }

  func handle(_ events: Events) { paths.dialled(self) }
}
