// How two devices come to a direct path:
//
//   the first packet to a peer      → `begin`: this device's addresses go to the peer, sealed, by way of the relay
//   the peer's addresses come       → `take`: answered with this device's own; each is dialled
//   a connection is made            → the dialler's first frame is a challenge, sealed in the session with the peer
//   a challenge comes               → `receive`: the connection is the peer's; a response and a challenge go back
//   the response comes              → the path is proved, and `choose` has packets take it
//   the path is lost                → packets take the next one at once, and the devices try again later
//
// Another host that connects, or that this device dials by mistake, cannot open the challenge, so no path to it is
// proved.

internal import Link
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

/// The direct paths to all peers. Owned by the device's thread.
final class DirectPaths {
  // Set once.
  let events: EventLoop
  let memory: ReceiveMemory
  let neighbourhood: Neighbourhood
  let links: PeerLinks
  private let pump: PacketPump
  let tun: any PacketDevice
  private let publicKey: () -> PublicKey
  /// Called when packets to a peer take another path, with the reason for leaving a direct one.
  private let onChange: (PeerState, String?) -> Void

  var acceptor: Acceptor?
  /// The path numbers of this process: a number never has two paths.
  private var lastNumber: UInt32 = 0
  /// Connections that others have made and not proved to be theirs.
  private var unproven: [DirectConnection] = []
  var dials: [DirectDial] = []
  /// The peers with anything of direct paths.
  var peers: [IPv4Address: PeerState] = [:]
  /// Since when there is no connection to the relay, which might revoke a peer.
  var relayIsAwaySince: Instant?
  /// How long direct paths go on without the relay.
  private let maximumOffline: Duration
  private var timer: Timer?
  private var isWatchingClosely = false

  static let interval = Duration.milliseconds(50)
  private static let idleInterval = Duration.seconds(1)
  private static let maximumUnproven = 32
  /// How long a connection may take to be proved, and the longest payload before that.
  static let proofTime = Duration.seconds(10)
  private static let proofPayload = 200
  /// An unused path ends after this time.
  private static let useTime = Duration.seconds(600)
  /// How long the connection that another replaces may still deliver.
  private static let overlap = Duration.seconds(1)
  /// A path that was used within this time is tried again when it is lost.
  private static let recently = Duration.seconds(10)

  init(
    _ device: Device, maximumOffline: Duration, publicKey: @escaping () -> PublicKey,
    onChange: @escaping (PeerState, String?) -> Void
  ) {
    events = device.events
    memory = device.uplink.memory
    self.maximumOffline = maximumOffline
    neighbourhood = device.neighbourhood
    links = device.links
    pump = device.pump
    tun = device.tun
    self.publicKey = publicKey
    self.onChange = onChange
  }

  /// Whether packets to a peer take a direct path.
  var isInUse: Bool { peers.values.contains { $0.path.isDirect } }

  // MARK: Listening

  /// Listens on `port`; 0: one that the kernel chooses.
  func start(port: UInt16) throws(Errno) {
    guard let any = SocketAddress(numeric: "::", port: port) else { return }
    let listener: TCPListener
    do {
      listener = try TCPListener(on: any, backlog: 64)
    } catch {
      // Without IPv6.
      guard error == .addressFamilyNotSupported || error == .addressNotAvailable,
        let any = SocketAddress(numeric: "0.0.0.0", port: port)
      else { throw error }
      listener = try TCPListener(on: any, backlog: 64)
    }
    let acceptor = Acceptor(listener, self)
    acceptor.registration = try events.register(acceptor.listener.descriptor, for: .readable, handler: acceptor)
    self.acceptor = acceptor
  }

  func stop() {
    if let acceptor, let registration = acceptor.registration {
      events.deregister(acceptor.listener.descriptor, registration)
    }
    acceptor = nil
    endAll("this device leaves")
    for connection in unproven { connection.close() }
    unproven = []
    for dial in Array(dials) { endDial(dial) }
  }

  final class Acceptor: EventHandler {
    private unowned let paths: DirectPaths
    let listener: TCPListener
    var registration: Registration?

    init(_ listener: consuming TCPListener, _ paths: DirectPaths) {
      self.listener = listener
      self.paths = paths
    }

    func handle(_ events: Events) { paths.accept() }
  }

  private func accept() {
    for _ in 0..<16 {
      let socket: TCPSocket
      do {
        guard let next = try acceptor?.listener.accept() else { return }
        socket = next
      } catch {
        // Descriptors or memory are short; what waits can wait longer.
        return pauseAccepting()
      }
      let remote = socket.peer
      guard let connection = open(socket.takeDescriptor(), remote, isDialled: false) else { continue }
      // A peer proves itself at once, so the oldest is the least likely to be one.
      if unproven.count == Self.maximumUnproven { end(unproven[0], "there are too many connections") }
      unproven.append(connection)
      events.schedule(after: Self.proofTime) { [weak self, weak connection] in
        guard let self, let connection, !connection.isBound else { return }
        end(connection, "it did not prove to be a peer's")
      }
    }
  }

  private func pauseAccepting() {
    guard let acceptor, let registration = acceptor.registration else { return }
    events.setInterest([], of: acceptor.listener.descriptor, registration)
    events.schedule(after: .seconds(1)) { [weak self] in
      guard let self, self.acceptor === acceptor else { return }
      events.setInterest(.readable, of: acceptor.listener.descriptor, registration)
    }
  }

  func open(
    _ descriptor: consuming Descriptor, _ remote: SocketAddress, isDialled: Bool
  ) -> DirectConnection? {
    guard (try? descriptor.tune(.frames)) != nil else { return nil }
    let connection = FrameConnection(descriptor, loop: events, queueLimit: 4 << 20)
    connection.payloadLimit = Self.proofPayload
    let direct = DirectConnection(connection, to: remote, isDialled: isDialled, self)
    return (try? connection.attach(direct)) == nil ? nil : direct
  }

  func newPath(to remote: SocketAddress) -> Path? {
    guard let membership = neighbourhood.membership, lastNumber < SealedHeader.maximumPath else { return nil }
    lastNumber += 1
    return Path(FrameCarrier(), number: lastNumber, address: membership.address, remote: remote)
  }

  // MARK: Frames

  func deliver(_ payload: UnsafeMutableRawBufferPointer, from source: IPv4Address, on connection: DirectConnection) {
    pump.deliver(payload, from: source, on: connection)
    if connection.state == nil { end(connection, "its first frame was no challenge of a peer") }
  }

  func deliver(handshake payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    pump.deliver(handshake: payload, from: source)
  }

  /// Has a session with the peer, which there may be none of after a long rest.
  func openSession(with state: PeerState) {
    _ = links.openSession(with: state)
  }

  /// Whether an opened frame came by the path that it was sealed for. If not, the caller drops it; a direct connection
  /// that carried it ends.
  func accepts(_ header: SealedHeader, on connection: DirectConnection?) -> Bool {
    guard let connection else { return header.path == 0 }
    if connection.takes(header) || !connection.isBound && header.path > 0 && header.kind == .path { return true }
    end(connection, "a frame came by another path than it was sealed for")
    return false
  }

  /// Takes a message of the kind `path`.
  func receive(
    _ content: UnsafeRawBufferPointer, _ header: SealedHeader, from state: PeerState, on connection: DirectConnection?
  ) {
    guard let message = PathMessage(parsing: content.bytes) else { return }
    let now = Instant.now()
    if let connection, !connection.isBound {
      switch message {
      case .challenge, .response: break
      default: return end(connection, "its first frame was no challenge of a peer")
      }
      guard adopt(connection, header.path, state) else { return end(connection, "there is no room for it") }
    }
    switch message {
    case .challenge(let number): connection?.send(.response(number))
    case .response(let number):
      guard let connection, connection.takeResponse(number, at: now) else { return }
      choose(state, at: now)
    case .report(let highest): connection?.takeReport(highest, at: now)
    case .end(let change, _): state.direct?.takeEnd(change)
    case .begin(let change, let flows):
      if let connection { state.direct?.takeBegin(change, flows, on: connection) }
    }
  }

  /// The connection's other end has the session with the peer.
  private func adopt(_ connection: DirectConnection, _ peersNumber: UInt32, _ state: PeerState) -> Bool {
    connection.bind(toPeersPath: peersNumber)
    guard connection.state == nil else { return true }
    unproven.removeAll { $0 === connection }
    let direct = state.direct ?? PeerDirect(state, self)
    guard direct.connections.count < PathCounters.kept / 2, let path = newPath(to: connection.remote) else {
      return false
    }
    state.direct = direct
    peers[state.address] = state
    connection.bind(to: state, path)
    direct.connections.append(connection)
    connection.ask(at: .now())
    return true
  }

  // MARK: Choice

  /// Has packets take the best path: a proven direct one before the relay, and of two the one that the device with the
  /// lower key has dialled, which both ends choose.
  private func choose(_ state: PeerState, at now: Instant, after loss: String? = nil) {
    guard let direct = state.direct else { return }
    let isLower = publicKey().bytes.lexicographicallyPrecedes(state.peer.key.bytes)
    let proven = direct.connections.filter(\.isProven)
    let best = proven.first { $0.isDialled == isLower } ?? proven.first
    let path = best?.path ?? state.relayPath
    if proven.count > 1 { closeOthers(of: state) }
    guard path !== state.path else { return }
    let former = state.path
    if former.carrier.connection != nil { announce(from: former, to: path, state, direct, at: now) }
    state.take(path)
    neighbourhood.pathsHaveChanged()
    if path.isDirect {
      (direct.wait, direct.lastOffer) = (PeerDirect.firstWait, now)
      for dial in dials.filter({ $0.state === state }) { endDial(dial) }
      path.prove(at: now)
      path.roundTrip = best?.roundTrip
      watchClosely()
    }
    onChange(state, loss)
  }

  /// Closes the connections that packets to the peer do not take, once they have delivered what is under way.
  private func closeOthers(of state: PeerState) {
    events.schedule(after: Self.overlap) { [weak self, weak state] in
      guard let self, let state, let direct = state.direct else { return }
      for connection in direct.connections where connection.isProven && connection.path !== state.path {
        close(connection, of: direct)
      }
    }
  }

  /// Tells the peer, on both paths, which frames come first: so it keeps them in order.
  private func announce(from former: Path, to path: Path, _ state: PeerState, _ direct: PeerDirect, at now: Instant) {
    guard let session = state.link?.current else { return }
    let flows = former.flows.latest(at: now)
    guard !flows.isEmpty, flows.count <= 32, path.isDirect else { return }
    direct.change += 1
    let count = UInt16(flows.count)
    for flow in flows {
      former.send(PathMessage.end(change: direct.change, flows: count).bytes, as: .path, flow: flow, session)
    }
    path.send(
      PathMessage.begin(change: direct.change, flows: count).bytes, as: .path, flow: PeerMessage.flow, session)
  }

  // MARK: The end of paths

  /// A connection has ended, or is to end.
  func end(_ connection: DirectConnection, _ reason: String) {
    unproven.removeAll { $0 === connection }
    guard let state = connection.state, let direct = state.direct else { return connection.close() }
    let wasUsed = connection.path === state.path
    close(connection, of: direct)
    guard wasUsed else { return }
    let now = Instant.now()
    choose(state, at: now, after: reason)
    guard now.since(connection.lastUse) < Self.recently else { return }
    direct.noteLoss(at: now)
    // The peer may have moved, or the network have changed: both try again soon.
    direct.lastOffer = nil
    events.schedule(after: .seconds(1)) { [weak self, weak state] in
      guard let self, let state, state.direct === direct, direct.lastOffer == nil else { return }
      begin(with: state)
    }
  }

  private func close(_ connection: DirectConnection, of direct: PeerDirect) {
    direct.release()
    direct.connections.removeAll { $0 === connection }
    connection.close()
  }

  func endAll(_ reason: String) {
    for state in Array(peers.values) { endAll(of: state, reason) }
  }

  /// Nothing is exchanged with the peer any more.
  func endAll(of state: PeerState, _ reason: String) {
    peers[state.address] = nil
    for dial in dials.filter({ $0.state === state }) { endDial(dial) }
    guard let direct = state.direct else { return }
    state.direct = nil
    for connection in direct.connections { close(connection, of: direct) }
    if state.path.isDirect {
      state.take(state.relayPath)
      neighbourhood.pathsHaveChanged()
      onChange(state, reason)
    }
  }

  /// This host's addresses or routes have changed: devices with packets for each other try again.
  func networkChanged() {
    for state in peers.values where !state.path.isDirect { state.direct?.lastOffer = nil }
    for connection in peers.values.flatMap({ $0.direct?.connections ?? [] }) where connection.isProven {
      connection.ask(at: .now())
    }
    watchClosely()
  }

  // MARK: Watching

  /// A path is used: its packets are to be confirmed soon.
  func watchClosely() {
    guard !isWatchingClosely else { return }
    isWatchingClosely = true
    watch(after: Self.interval)
  }

  private func watch(after time: Duration) {
    if let timer { events.cancel(timer) }
    timer = events.schedule(after: time) { [weak self] in
      guard let self else { return }
      timer = nil
      isWatchingClosely = check()
      if timer == nil, hasConnections { watch(after: isWatchingClosely ? Self.interval : Self.idleInterval) }
    }
  }

  private var hasConnections: Bool { peers.values.contains { $0.direct?.connections.isEmpty == false } }

  /// True: a path is in use.
  private func check() -> Bool {
    let now = Instant.now()
    if let relayIsAwaySince, now.since(relayIsAwaySince) >= maximumOffline {
      endAll("the relay was not heard of for \(Int(maximumOffline.seconds)) s")
    }
    var isActive = false
    for state in Array(peers.values) {
      for connection in state.direct?.connections ?? [] {
        if let reason = connection.check(at: now) {
          end(connection, reason)
        } else if connection.isActive(at: now) {
          isActive = true
        } else if connection.isProven, now.since(connection.lastUse) >= Self.useTime,
          neighbourhood.relay.connection != nil
        {
          endAll(of: state, "it was not used for \(Int(Self.useTime.seconds / 60)) minutes")
        }
      }
    }
    return isActive
  }
}
