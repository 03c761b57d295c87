internal import Link
internal import Noise
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
    /// Devices that an operator has sent away, and when: by a count of these events.
    var sentAway: [PublicKey: Int] = [:]
    var dismissals = 0
    /// What the next update will say.
    var joined: [IPv4Address: Peer] = [:]
    var left: Set<IPv4Address> = []
    var dismissed: Set<IPv4Address> = []
  }

  private struct Member {
    let session: Session
    let applicant: Applicant
    let address: IPv4Address
    let peer: Peer
    let encoded: EncodedPeer

    init(session: Session, applicant: Applicant, address: IPv4Address) {
      self.session = session
      self.applicant = applicant
      self.address = address
      peer = Peer(address: address, deviceID: applicant.deviceID, key: applicant.key, ciphers: applicant.ciphers)
      encoded = EncodedPeer(peer)
    }
  }

  init(settings: RelaySettings) {
    let leases = LeaseTable(pool: settings.pool)
    directory = Directory(pool: settings.pool)
    state = Mutex(State(leases: leases))
    welcome = { address in
      Welcome(
        address: address, pool: leases.pool, relayAddress: leases.relayAddress,
        keepalive: Int(settings.keepalive.nanoseconds / 1_000_000),
        idleKeepalive: Int(settings.idleKeepalive.nanoseconds / 1_000_000))
    }
  }

  var relayAddress: IPv4Address { state.withLock { $0.leases.relayAddress } }

  /// How many devices are in, and how many can be, the relay host not counted.
  var occupancy: (online: Int, capacity: Int) { state.withLock { ($0.leases.online, $0.leases.capacity) } }

  /// How often an operator has sent a device away. Who was let in by a decision that is older than its own dismissal is not.
  var dismissals: Int { state.withLock { $0.dismissals } }

  enum Admission {
    /// The session is in and has been told so.
    case admitted(IPv4Address)
    case refused(Refusal)
    /// An older session has this device ID. It has to be asked whether it lives.
    case contested(by: Session)
    /// The device was sent away after it had been decided to let it in.
    case outdated
  }

  /// Gives `session` an address. The session that it replaces, if any, is closed: one of the same process, or `dead`.
  /// `decided` is how many `dismissals` there were when it was decided to let the device in.
  func admit(_ session: Session, _ applicant: Applicant, decided: Int, over dead: Session? = nil) -> Admission {
    return state.withLock { state in
      if let dismissal = state.sentAway[applicant.key], dismissal > decided { return .outdated }
      if let older = state.members[applicant.deviceID] {
        // Nobody else is the relay's own host.
        guard older.session === dead || older.applicant.instance == applicant.instance || session.origin.isRelayHost
        else {
          return .contested(by: older.session)
        }
      }
      let address: IPv4Address
      if session.origin.isRelayHost {
        address = state.leases.relayAddress
      } else {
        switch state.leases.take(
          for: applicant.deviceID, wants: applicant.address, required: applicant.addressRequired)
        {
        case .success(let lease): address = lease
        case .failure(let refusal): return .refused(refusal)
        }
      }
      if let older = state.members[applicant.deviceID] {
        remove(older, applicant.deviceID, keeping: address, from: &state)
        older.session.end(Refusal(.sessionReplaced, "the device has connected anew"))
      }
      let member = Member(session: session, applicant: applicant, address: address)
      state.members[applicant.deviceID] = member
      // The welcome leaves before any update can, since those are made under this lock too, and before any data can; and
      // whoever hears of it, by whatever way, finds the session.
      session.connection.send(control: ControlMessage.welcome(welcome(address)).frame()) {
        directory.set(session, at: address)
      }
      sendEverything(to: session, except: applicant.deviceID, state)
      state.joined[address] = member.peer
      state.left.remove(address)
      state.dismissed.remove(address)
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

  /// `kept` is an address that the device has just been given anew.
  private func remove(_ member: Member, _ deviceID: String, keeping kept: IPv4Address? = nil, from state: inout State) {
    state.members[deviceID] = nil
    directory.set(nil, at: member.address)
    if !member.session.origin.isRelayHost, member.address != kept { state.leases.release(member.address) }
    state.joined[member.address] = nil
    state.left.insert(member.address)
  }

  /// Tells a session that has missed something who is there.
  func resend(to session: Session, _ deviceID: String) {
    state.withLock { sendEverything(to: session, except: deviceID, $0) }
  }

  /// Answers who has `address`: nobody, or an update that says who.
  func locate(_ address: IPv4Address, for session: Session) {
    state.withLock { state in
      let holder =
        address == state.leases.relayAddress
        ? state.members.values.first { $0.session.origin.isRelayHost }
        : state.leases.holder(of: address).flatMap { state.members[$0] }
      let answer: ControlMessage =
        if let holder {
          .peers(PeerUpdate(revision: state.revision, since: state.revision, joined: [holder.peer]))
        } else {
          .unreachable(Unreachable(address: address))
        }
      session.connection.send(control: answer.frame())
    }
  }

  /// Ends the session of a device that an operator has just sent away, whichever of its keys that came with: it may have
  /// another one by now. These keys are worthless in the store.
  func dismiss(_ deviceID: String, _ keys: [PublicKey], _ refusal: Refusal) {
    let session = state.withLock { state in
      state.dismissals += 1
      let member = state.members[deviceID]
      if let member { state.dismissed.insert(member.address) }
      for key in keys + [member?.applicant.key].compactMap({ $0 }) { state.sentAway[key] = state.dismissals }
      return member?.session
    }
    session?.end(refusal)
  }

  /// Sends a message to everybody.
  func tell(_ message: ControlMessage) {
    let frame = message.frame()
    state.withLock { state in
      for member in state.members.values { member.session.connection.send(control: frame) }
    }
  }

  /// Sends what has changed since the last time, if anything, to everybody in one update.
  func sendChanges() {
    state.withLock { state in
      guard !state.joined.isEmpty || !state.left.isEmpty else { return }
      let since = state.revision
      state.revision += 1
      var joined = state.joined.values.sorted { $0.address < $1.address }[...]
      var left = state.left.sorted()[...]
      let dismissed = state.dismissed.intersection(state.left)
      state.dismissed.subtract(dismissed)
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
        let sentAway = gone.filter { dismissed.contains($0) }
        let update = PeerUpdate(
          revision: isLast ? state.revision : since, since: since, joined: come, left: gone,
          dismissed: sentAway.isEmpty ? nil : sentAway)
        let frame = ControlMessage.peers(update).frame()
        for member in state.members.values { member.session.connection.send(control: frame) }
      } while !left.isEmpty || !joined.isEmpty
    }
  }

  /// The revision counts what has been sent; what has not yet will follow as an update and may say the same again.
  private func sendEverything(to session: Session, except deviceID: String, _ state: State) {
    var peers = state.members.compactMap { id, member in id == deviceID ? nil : member.encoded }[...]
    var since: Int?
    repeat {
      let part = peers.prefix(PeerUpdate.maximumPeers)
      peers = peers.dropFirst(part.count)
      session.connection.send(
        control: PeerUpdate.frame(
          revision: state.revision, since: since, joined: part, more: peers.isEmpty ? nil : true))
      since = state.revision
    } while !peers.isEmpty
  }
}
