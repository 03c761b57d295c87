internal import Admission
internal import Link
internal import Noise
internal import Store
internal import Synchronization
internal import SystemIO
internal import Wire

/// Which device is connected at which address. Sessions claim addresses and withdraw, and the devices get updates about
/// each other. For any thread.
final class Presence: DevicePresence {
  // Set once.
  let forwardingTable: ForwardingTable
  private let settings: LiveSettings

  // Guarded by its lock.
  private let state: Mutex<State>

  /// Serializes broadcasts, so that every session sees them in order. The other lock is free meanwhile, because frames
  /// may wait for it.
  private let broadcasting = Mutex<Void>(())

  private struct State {
    var network: RelayNetwork {
      didSet { greeting = network.greeting }
    }
    /// The network's addresses for the handshake, encoded once.
    var greeting: [UInt8]
    var table: PresenceTable
    /// When an operator dismissed a key, and when a device's lease moved, by a count of these events. Kept while a
    /// decision is under way, because an event makes only earlier decisions void.
    var dismissed: [PublicKey: Int] = [:]
    var moved: [String: Int] = [:]
    var changes = 0
    /// How many decisions are under way for each key.
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

  /// How many devices are connected, and how many the pool has addresses for, without the relay host.
  var occupancy: (online: Int, capacity: Int) {
    state.withLock { state in
      let isHostIn = state.table.member(at: state.network.pool.relayAddress) != nil
      return (state.table.members.count - (isHostIn ? 1 : 0), state.network.pool.capacity)
    }
  }

  /// The device IDs by address, also the relay host's.
  var holders: [IPv4Address: String] { state.withLock { $0.table.holders } }

  // MARK: Decisions

  /// Begins a decision about a device, which `endDeciding` ends once its session has claimed the address or not.
  /// Returns the count of events, for `claim`.
  func beginDeciding(_ request: AdmissionRequest) -> Int {
    state.withLock { state in
      state.deciding[request.key, default: 0] += 1
      return state.changes
    }
  }

  func endDeciding(_ request: AdmissionRequest) {
    state.withLock { state in
      let count = state.deciding[request.key] ?? 0
      state.deciding[request.key] = count > 1 ? count - 1 : nil
      guard state.deciding.isEmpty else { return }
      state.dismissed = [:]
      state.moved = [:]
    }
  }

  func isContested(_ request: AdmissionRequest) -> Bool {
    state.withLock { contestant(of: request, $0) != nil }
  }

  private func contestant(of request: AdmissionRequest, _ state: State) -> Session? {
    guard let older = state.table.member(request.deviceID), ObjectIdentifier(older.session) != request.deadSession,
      older.request.instance != request.instance,
      // Only the relay's own host connects within this process.
      !request.isRelayHost
    else { return nil }
    return older.session
  }

  func isInUse(_ lease: LeaseRecord) -> Bool {
    state.withLock { state in
      state.table.member(lease.deviceID) != nil || PublicKey(lease.key).flatMap { state.deciding[$0] } != nil
    }
  }

  func holder(of address: IPv4Address) -> String? {
    state.withLock { $0.table.member(at: address)?.request.deviceID }
  }

  /// The device has another lease from now on, or none: decisions of before are void. To be called after the commit,
  /// and before anybody hears of it.
  func noteMove(of deviceID: String) {
    state.withLock { state in
      state.changes += 1
      if !state.deciding.isEmpty { state.moved[deviceID] = state.changes }
    }
  }

  enum Claim {
    /// The session has the address, and its welcome is sent.
    case admitted
    /// An older session has this device ID, and must be asked for an echo.
    case contested(by: Session)
    /// The decision is void, because of a later event.
    case outdated
  }

  /// Claims `address`, its device's lease, for `session`. Ends the session that it replaces: one of the same process,
  /// or a dead one. `decided` is what `beginDeciding` returned.
  func claim(
    _ session: Session, _ request: AdmissionRequest, at address: IPv4Address, decided: Int
  ) -> Claim {
    state.withLock { state in
      let change = max(state.dismissed[request.key] ?? 0, state.moved[request.deviceID] ?? 0)
      if change > decided { return .outdated }
      if let older = contestant(of: request, state) { return .contested(by: older) }
      // The device kept its old address for the sake of an older session, which is gone now.
      let insists = request.addressRequired && !request.isRelayHost
      if insists, let insisted = request.address, insisted != address { return .outdated }
      if let older = state.table.member(request.deviceID) {
        remove(older, from: &state)
        older.session.end(Refusal(.sessionReplaced, "the device has connected anew"))
      }
      // The other device has another lease already, and gets that when it connects again.
      if let former = state.table.member(at: address) {
        remove(former, from: &state)
        former.session.end(Refusal(.sessionReplaced, "the device has another address now"))
      }
      // The closure runs under the send lock, so that no other thread's data precedes the welcome. Updates are made
      // under this lock, so none precedes it either, and a device that hears of the session can reach it.
      session.connection.send(control: ControlMessage.welcome(welcome(session, address, state.network)).frame()) {
        forwardingTable.set(session.outlet, at: address)
      }
      let member = state.table.add(session, request, at: address)
      state.table.tellEverything(to: member)
      return .admitted
    }
  }

  private func welcome(_ session: Session, _ address: IPv4Address, _ network: RelayNetwork) -> Welcome {
    Welcome(
      address: address, pool: network.pool.prefix, pool6: network.pool6, relayAddress: network.pool.relayAddress,
      keepalive: Int(settings.now.reloadable.keepalive.nanoseconds / 1_000_000),
      idleKeepalive: Int(settings.now.reloadable.idleKeepalive.nanoseconds / 1_000_000),
      outerAddress: session.origin.address, relayVersion: settings.now.version)
  }

  /// Makes the pool larger and tells every device; no address changes.
  func grow(to prefix: IPv4Prefix) {
    state.withLock { state in
      state.network.grow(to: prefix)
      forwardingTable.grow(to: prefix)
    }
    renewTerms()
  }

  /// Releases the address of a session that has ended, unless another session of the device has replaced it.
  func withdraw(_ session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.table.member(deviceID), member.session === session else { return }
      remove(member, from: &state)
    }
  }

  private func remove(_ member: Member, from state: inout State) {
    forwardingTable.set(nil, at: member.address)
    state.table.remove(member)
  }

  /// Sends the whole list to a session that has missed an update.
  func resend(to session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.table.member(deviceID), member.session === session else { return }
      state.table.tellEverything(to: member)
    }
  }

  /// Answers which device has an address or a label.
  func locate(_ sought: Sought, for session: Session, _ deviceID: String) {
    state.withLock { state in
      guard let member = state.table.member(deviceID), member.session === session else { return }
      state.table.locate(sought, for: member)
    }
  }

  /// Ends the session of a device that an operator has revoked or removed. `keys` are those that the store had; the
  /// session may have an older one.
  func dismiss(_ deviceID: String, _ keys: [PublicKey], _ refusal: Refusal) {
    let session = state.withLock { state in
      state.changes += 1
      let member = state.table.member(deviceID)
      member?.isDismissed = true
      if !state.deciding.isEmpty {
        for key in keys + [member?.request.key].compactMap({ $0 }) { state.dismissed[key] = state.changes }
      }
      return member?.session
    }
    session?.end(refusal)
  }

  /// Ends the session of a device that is connected at another address than `address`, so that it connects again.
  func move(_ deviceID: String, to address: IPv4Address, _ refusal: Refusal) {
    let session = state.withLock { state -> Session? in
      guard let member = state.table.member(deviceID), member.address != address else { return nil }
      return member.session
    }
    session?.end(refusal)
  }

  /// Sends every device the present terms of its lease.
  func renewTerms() {
    broadcasting.withLock { _ in
      let (members, network) = state.withLock { (Array($0.table.members.values), $0.network) }
      for member in members {
        member.send(ControlMessage.welcome(welcome(member.session, member.address, network)).frame())
      }
    }
  }

  /// Sends a message to every device.
  func tell(_ message: ControlMessage) {
    let frame = message.frame()
    broadcasting.withLock { _ in
      for member in state.withLock({ Array($0.table.members.values) }) { member.send(frame) }
    }
  }

  /// Sends updates about the changes since the last time. True: there is more to send soon.
  func sendChanges() -> Bool {
    state.withLock { $0.table.tellChanges() }
  }
}

extension RelayNetwork {
  /// The payload of the handshake's second message.
  fileprivate var greeting: [UInt8] {
    RelayGreeting(network: NetworkNotice(pool: pool.prefix, pool6: pool6)).bytes
  }
}

/// Runs an action at once after a quiet time, and at most once in `interval` when many triggers come.
final class Announcer: Sendable {
  private static let interval = Duration.milliseconds(50)

  // Set once.
  private let events: EventLoop
  /// Returns whether it has to run again.
  private let announce: @Sendable () -> Bool

  // For any thread.
  private let isScheduled = Atomic<Bool>(false)
  private let lastRun = Mutex<Instant?>(nil)

  init(on events: EventLoop, _ announce: @escaping @Sendable () -> Bool) {
    self.events = events
    self.announce = announce
  }

  /// From any thread.
  func trigger() {
    guard !isScheduled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    events.post { [self] in
      let last = lastRun.withLock { $0 }
      let wait = last.map { Self.interval - Instant.now().since($0) } ?? .zero
      if wait > .zero { events.schedule(after: wait) { self.run() } } else { run() }
    }
  }

  private func run() {
    lastRun.withLock { $0 = .now() }
    isScheduled.store(false, ordering: .releasing)
    if announce() { trigger() }
  }
}
