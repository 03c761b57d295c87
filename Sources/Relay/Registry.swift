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
    var roster: Roster
    /// Devices that an operator has sent away lately, and when: by a count of these events.
    var sentAway: [PublicKey: (dismissal: Int, at: Instant)] = [:]
    var dismissals = 0
  }

  /// No decision of the store is under way for longer.
  private static let longestDecision = Duration.seconds(600)

  init(settings: RelaySettings) {
    let leases = LeaseTable(pool: settings.pool)
    directory = Directory(pool: settings.pool)
    state = Mutex(State(leases: leases, roster: Roster(listLimit: settings.peerList)))
    welcome = { address in
      Welcome(
        address: address, pool: leases.pool, relayAddress: leases.relayAddress,
        keepalive: Int(settings.keepalive.nanoseconds / 1_000_000))
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
      if let last = state.sentAway[applicant.key], last.dismissal > decided { return .outdated }
      if let older = state.roster.member(applicant.deviceID) {
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
      if let older = state.roster.member(applicant.deviceID) {
        remove(older, keeping: address, from: &state)
        older.session.end(Refusal(.sessionReplaced, "the device has connected anew"))
      }
      // The welcome leaves before any update can, since those are made under this lock too, and before any data can; and
      // whoever hears of it, by whatever way, finds the session.
      session.connection.send(control: ControlMessage.welcome(welcome(address)).frame()) {
        directory.set(session, at: address)
      }
      let member = state.roster.add(session, applicant, at: address)
      state.roster.tellEverything(to: member)
      return .admitted(address)
    }
  }

  /// Forgets a session that has ended. One that is not the live session of `deviceID` (any more) is none to forget.
  func remove(_ session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.roster.member(deviceID), member.session === session else { return }
      remove(member, from: &state)
    }
  }

  /// `kept` is an address that the device has just been given anew.
  private func remove(_ member: Member, keeping kept: IPv4Address? = nil, from state: inout State) {
    directory.set(nil, at: member.address)
    if !member.session.origin.isRelayHost, member.address != kept { state.leases.release(member.address) }
    state.roster.remove(member)
  }

  /// Tells a session that has missed something who is there.
  func resend(to session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.roster.member(deviceID), member.session === session else { return }
      state.roster.tellEverything(to: member)
    }
  }

  /// Answers who has `address`: nobody, or an update that says who.
  func locate(_ address: IPv4Address, for session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.roster.member(deviceID), member.session === session else { return }
      state.roster.locate(address, for: member)
    }
  }

  /// Ends the session of a device that an operator has just sent away, whichever of its keys that came with: it may have
  /// another one by now. These keys are worthless in the store.
  func dismiss(_ deviceID: String, _ keys: [PublicKey], _ refusal: Refusal) {
    let session = state.withLock { state in
      state.dismissals += 1
      let member = state.roster.member(deviceID)
      member?.isDismissed = true
      let now = Instant.now()
      state.sentAway = state.sentAway.filter { now.since($0.value.at) < Self.longestDecision }
      for key in keys + [member?.applicant.key].compactMap({ $0 }) { state.sentAway[key] = (state.dismissals, now) }
      return member?.session
    }
    session?.end(refusal)
  }

  /// Sends a message to everybody.
  func tell(_ message: ControlMessage) {
    let frame = message.frame()
    state.withLock { state in
      for member in state.roster.members.values { member.send(frame) }
    }
  }

  /// Sends what has changed since the last time, if anything. True: there is more to be sent soon.
  func sendChanges() -> Bool {
    state.withLock { $0.roster.tellChanges() }
  }
}
