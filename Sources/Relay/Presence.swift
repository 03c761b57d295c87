internal import Link
internal import Noise
internal import Store
internal import Synchronization
internal import SystemIO
internal import Wire

/// Who is in: admits sessions, gives them addresses, and tells all of them who came and went. For any thread.
final class Presence: Sendable {
  // Set once.
  let forwardingTable: ForwardingTable
  private let settings: LiveSettings

  // Guarded by its lock.
  private let state: Mutex<State>

  /// Held while everybody is told something, without the lock that frames may wait for: so that none hears the older of two
  /// words last.
  private let telling = Mutex<Void>(())

  private struct State {
    var network: RelayNetwork {
      didSet { greeting = network.greeting }
    }
    /// The description of the network that every connecting device gets, encoded once.
    var greeting: [UInt8]
    var table: PresenceTable
    /// Devices that an operator has sent away, and those that have lost or changed their leases, and when: by a count of
    /// these events. Kept for as long as anything is being decided, since only what was decided before does not hold.
    var sentAway: [PublicKey: Int] = [:]
    var moved: [String: Int] = [:]
    var changes = 0
    /// How often it is being decided about the device with this key.
    var deciding: [PublicKey: Int] = [:]
  }

  init(settings: LiveSettings) {
    self.settings = settings
    let settings = settings.now
    forwardingTable = ForwardingTable(pool: settings.network.pool.prefix)
    state = Mutex(
      State(
        network: settings.network, greeting: settings.network.greeting,
        table: PresenceTable(listLimit: settings.peerList)))
  }

  var network: RelayNetwork { state.withLock { $0.network } }

  /// The payload of the handshake's second message.
  var greeting: [UInt8] { state.withLock { $0.greeting } }

  /// How many devices are in, and how many can be, the relay host not counted.
  var occupancy: (online: Int, capacity: Int) {
    state.withLock { state in
      let isHostIn = state.table.member(at: state.network.pool.relayAddress) != nil
      return (state.table.members.count - (isHostIn ? 1 : 0), state.network.pool.capacity)
    }
  }

  /// Who is in at which address, the relay host too.
  var holders: [IPv4Address: String] { state.withLock { $0.table.holders } }

  // MARK: Decisions

  /// To be called before it is decided whether to let a device in, and with which address; `endDeciding` once it is let in or
  /// not. Returns how many changes there were that make older decisions void.
  func beginDeciding(_ applicant: Applicant) -> Int {
    state.withLock { state in
      state.deciding[applicant.key, default: 0] += 1
      return state.changes
    }
  }

  func endDeciding(_ applicant: Applicant) {
    state.withLock { state in
      let count = state.deciding[applicant.key] ?? 0
      state.deciding[applicant.key] = count > 1 ? count - 1 : nil
      guard state.deciding.isEmpty else { return }
      state.sentAway = [:]
      state.moved = [:]
    }
  }

  /// Whether another session of the device is in, and has to be asked whether it lives.
  func isContested(by applicant: Applicant, over dead: Session?) -> Bool {
    state.withLock { contestant(of: applicant, over: dead, $0) != nil }
  }

  private func contestant(of applicant: Applicant, over dead: Session?, _ state: State) -> Session? {
    guard let older = state.table.member(applicant.deviceID), older.session !== dead,
      older.applicant.instance != applicant.instance,
      // Nobody else is the relay's own host.
      !applicant.origin.isRelayHost
    else { return nil }
    return older.session
  }

  /// Sees to it that the device of a lease does not come in with that by a decision of before. False: it is in, or about to
  /// come in. The caller takes the lease away then, on the store's thread.
  func withdraw(_ lease: LeaseRecord) -> Bool {
    state.withLock { state in
      guard state.table.member(lease.deviceID) == nil, PublicKey(lease.key).flatMap({ state.deciding[$0] }) == nil
      else { return false }
      noteMove(of: lease.deviceID, &state)
      return true
    }
  }

  /// The device has another lease from now on, or none. To be called on the store's thread, before that is committed.
  func noteMove(of deviceID: String) {
    state.withLock { noteMove(of: deviceID, &$0) }
  }

  private func noteMove(of deviceID: String, _ state: inout State) {
    state.changes += 1
    if !state.deciding.isEmpty { state.moved[deviceID] = state.changes }
  }

  enum Admission {
    /// The session is in and has been told so.
    case admitted
    /// An older session has this device ID. It has to be asked whether it lives.
    case contested(by: Session)
    /// Something has changed for the device after it had been decided to let it in.
    case outdated
  }

  /// Lets `session` in at `address`, its device's lease. The session that it replaces, if any, is closed: one of the same
  /// process, or `dead`. `decided` is what `beginDeciding` has returned.
  func admit(
    _ session: Session, _ applicant: Applicant, at address: IPv4Address, decided: Int, over dead: Session? = nil
  ) -> Admission {
    return state.withLock { state in
      let change = max(state.sentAway[applicant.key] ?? 0, state.moved[applicant.deviceID] ?? 0)
      if change > decided { return .outdated }
      if let older = contestant(of: applicant, over: dead, state) { return .contested(by: older) }
      // It was not to be moved before its older session was asked, which is gone now.
      let insists = applicant.addressRequired && !session.origin.isRelayHost
      if insists, let insisted = applicant.address, insisted != address { return .outdated }
      if let older = state.table.member(applicant.deviceID) {
        remove(older, from: &state)
        older.session.end(Refusal(.sessionReplaced, "the device has connected anew"))
      }
      // It has another lease already, and gets that when it connects anew.
      if let former = state.table.member(at: address) {
        remove(former, from: &state)
        former.session.end(Refusal(.sessionReplaced, "the device has another address now"))
      }
      // The welcome leaves before any update can, since those are made under this lock too, and before any data can; and
      // whoever hears of it, by whatever way, finds the session.
      session.connection.send(control: ControlMessage.welcome(welcome(session, address, state.network)).frame()) {
        forwardingTable.set(session, at: address)
      }
      let member = state.table.add(session, applicant, at: address)
      state.table.tellEverything(to: member)
      return .admitted
    }
  }

  private func welcome(_ session: Session, _ address: IPv4Address, _ network: RelayNetwork) -> Welcome {
    Welcome(
      address: address, pool: network.pool.prefix, pool6: network.pool6, relayAddress: network.pool.relayAddress,
      keepalive: Int(settings.now.keepalive.nanoseconds / 1_000_000),
      idleKeepalive: Int(settings.now.idleKeepalive.nanoseconds / 1_000_000),
      outerAddress: session.origin.address, relayVersion: settings.now.version)
  }

  /// Makes the pool larger, and tells everybody; no address changes.
  func grow(to prefix: IPv4Prefix) {
    state.withLock { state in
      state.network.pool = state.network.pool.with(prefix)
      forwardingTable.grow(to: prefix)
    }
    renewTerms()
  }

  /// Forgets a session that has ended. One that is not the live session of `deviceID` (any more) is none to forget.
  func remove(_ session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.table.member(deviceID), member.session === session else { return }
      remove(member, from: &state)
    }
  }

  private func remove(_ member: Member, from state: inout State) {
    forwardingTable.set(nil, at: member.address)
    state.table.remove(member)
  }

  /// Tells a session that has missed something who is there.
  func resend(to session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.table.member(deviceID), member.session === session else { return }
      state.table.tellEverything(to: member)
    }
  }

  /// Answers who has an address or a label: nobody, or an update that says who.
  func locate(_ sought: Sought, for session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.table.member(deviceID), member.session === session else { return }
      state.table.locate(sought, for: member)
    }
  }

  /// Ends the session of a device that an operator has just sent away, whichever of its keys that came with: it may have
  /// another one by now. These keys are worthless in the store.
  func dismiss(_ deviceID: String, _ keys: [PublicKey], _ refusal: Refusal) {
    let session = state.withLock { state in
      state.changes += 1
      let member = state.table.member(deviceID)
      member?.isDismissed = true
      if !state.deciding.isEmpty {
        for key in keys + [member?.applicant.key].compactMap({ $0 }) { state.sentAway[key] = state.changes }
      }
      return member?.session
    }
    session?.end(refusal)
  }

  /// Lets a device connect anew that is in at another address than `address`.
  func move(_ deviceID: String, to address: IPv4Address, _ refusal: Refusal) {
    let session = state.withLock { state -> Session? in
      guard let member = state.table.member(deviceID), member.address != address else { return nil }
      return member.session
    }
    session?.end(refusal)
  }

  /// Tells every device the present terms of its lease.
  func renewTerms() {
    telling.withLock { _ in
      let (members, network) = state.withLock { (Array($0.table.members.values), $0.network) }
      for member in members {
        member.send(ControlMessage.welcome(welcome(member.session, member.address, network)).frame())
      }
    }
  }

  /// Sends a message to everybody.
  func tell(_ message: ControlMessage) {
    let frame = message.frame()
    telling.withLock { _ in
      for member in state.withLock({ Array($0.table.members.values) }) { member.send(frame) }
    }
  }

  /// Sends what has changed since the last time, if anything. True: there is more to be sent soon.
  func sendChanges() -> Bool {
    state.withLock { $0.table.tellChanges() }
  }
}
