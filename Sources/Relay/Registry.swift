internal import Link
internal import Synchronization
internal import SystemIO
internal import Wire

/// Who is in: admits sessions, gives them addresses, and tells all of them who came and went. For any thread.
final class Registry: Sendable {
  // Set once.
  let directory: Directory
  private let welcome: @Sendable (IPv4Address) -> Welcome

  // Guarded by its lock.
  private let state: Mutex<State>

  private struct State {
    var leases: LeaseTable
    /// The live session of each device.
    var members: [String: Member] = [:]
    /// Rises by one with every update that is sent.
    var revision = 0
    /// What the next update will say.
    var joined: [IPv4Address: Peer] = [:]
    var left: Set<IPv4Address> = []
  }

  private struct Member {
    let session: Session
    let instance: String
    let address: IPv4Address
  }

  init(settings: RelaySettings) {
    let leases = LeaseTable(pool: settings.pool)
    directory = Directory(pool: settings.pool)
    state = Mutex(State(leases: leases))
    welcome = { address in
      Welcome(
        version: protocolVersion, address: address, pool: leases.pool, relayAddress: leases.relayAddress,
        keepalive: Int(settings.keepalive.nanoseconds / 1_000_000))
    }
  }

  var relayAddress: IPv4Address { state.withLock { $0.leases.relayAddress } }

  /// How many devices are in, and how many can be, the relay host not counted.
  var occupancy: (online: Int, capacity: Int) { state.withLock { ($0.leases.online, $0.leases.capacity) } }

  private static let maximumInstance = 64

  enum Admission {
    /// The session is in and has been told so.
    case admitted(IPv4Address)
    case refused(Refusal)
    /// An older session has this device ID. It has to be asked whether it lives.
    case contested(by: Session)
  }

  /// Lets `session` in if it may. The session that it replaces, if any, is closed: one of the same process, or `dead`.
  func admit(_ session: Session, _ request: JoinRequest, over dead: Session? = nil) -> Admission {
    guard request.versions.contains(protocolVersion) else {
      return .refused(
        Refusal(.unsupportedVersion, "this relay speaks version \(protocolVersion) of the protocol only"))
    }
    guard DeviceID.isValid(request.deviceID) else {
      return .refused(
        Refusal(
          .badRequest,
          "the device ID is not valid: 1 to \(DeviceID.maximumLength) letters, digits, dots, underscores and hyphens, "
            + "with a letter or digit at both ends"))
    }
    guard request.instance.utf8.count <= Self.maximumInstance else {
      return .refused(Refusal(.badRequest, "the instance is longer than \(Self.maximumInstance) bytes"))
    }
    return state.withLock { state in
      if let older = state.members[request.deviceID] {
        // Nobody else is the relay's own host.
        guard older.session === dead || older.instance == request.instance || session.isRelayHost else {
          return .contested(by: older.session)
        }
        remove(older, request.deviceID, from: &state)
        older.session.end(Refusal(.sessionReplaced, "the device has connected anew"))
      }
      let address: IPv4Address
      if session.isRelayHost {
        address = state.leases.relayAddress
      } else {
        switch state.leases.take(
          for: request.deviceID, wants: request.address, required: request.addressRequired ?? false)
        {
        case .success(let lease): address = lease
        case .failure(let refusal): return .refused(refusal)
        }
      }
      state.members[request.deviceID] = Member(session: session, instance: request.instance, address: address)
      // The welcome leaves before any update can, since those are made under this lock too, and before any data can, since
      // nobody finds the session before it is in the directory.
      session.connection.send(control: ControlMessage.welcome(welcome(address)).frame())
      sendEverything(to: session, except: request.deviceID, state)
      directory.set(session, at: address)
      state.joined[address] = Peer(address: address, deviceID: request.deviceID)
      state.left.remove(address)
      return .admitted(address)
    }
  }

  /// Forgets a session that has ended. One that is not the live session of `deviceID` (any more) is none to forget.
  func remove(_ session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.members[deviceID], member.session === session else { return }
      remove(member, deviceID, from: &state)
    }
  }

  private func remove(_ member: Member, _ deviceID: String, from state: inout State) {
    state.members[deviceID] = nil
    directory.set(nil, at: member.address)
    if !member.session.isRelayHost { state.leases.release(member.address) }
    state.joined[member.address] = nil
    state.left.insert(member.address)
  }

  /// Tells a session that has missed something who is there.
  func resend(to session: Session, _ deviceID: String) {
    state.withLock { sendEverything(to: session, except: deviceID, $0) }
  }

  /// Sends what has changed since the last time, if anything, to everybody in one update.
  func sendChanges() {
    state.withLock { state in
      guard !state.joined.isEmpty || !state.left.isEmpty else { return }
      let since = state.revision
      state.revision += 1
      var joined = state.joined.values.sorted { $0.address < $1.address }[...]
      var left = state.left.sorted()[...]
      state.joined = [:]
      state.left = []
      // First who left, then who joined, since an address may have changed hands. A part that is not the last leads to the
      // revision that it builds on, so that the next one fits.
      repeat {
        let gone = Array(left.prefix(PeerUpdate.maximumLeft))
        left = left.dropFirst(gone.count)
        let come = left.isEmpty ? Array(joined.prefix(PeerUpdate.maximumPeers)) : []
        joined = joined.dropFirst(come.count)
        let isLast = left.isEmpty && joined.isEmpty
        let update = PeerUpdate(revision: isLast ? state.revision : since, since: since, joined: come, left: gone)
        let frame = ControlMessage.peers(update).frame()
        for member in state.members.values { member.session.connection.send(control: frame) }
      } while !left.isEmpty || !joined.isEmpty
    }
  }

  /// The revision counts what has been sent; what has not yet will follow as an update and may say the same again.
  private func sendEverything(to session: Session, except deviceID: String, _ state: State) {
    var peers = state.members.compactMap { id, member in
      id == deviceID ? nil : Peer(address: member.address, deviceID: id)
    }[...]
    var since: Int?
    repeat {
      let part = Array(peers.prefix(PeerUpdate.maximumPeers))
      peers = peers.dropFirst(part.count)
      let update = PeerUpdate(revision: state.revision, since: since, joined: part)
      session.connection.send(control: ControlMessage.peers(update).frame())
      since = state.revision
    } while !peers.isEmpty
  }
}
