internal import Logging
internal import Noise
public import Store
internal import Synchronization
internal import SystemIO
public import Wire

/// Decides who may join, by what the store knows and what operators say. For any thread.
final class AdmissionController: Sendable {
  // Set once.
  let store: SQLiteStore
  let leases: LeaseAllocator
  let logger: Logger
  private let mode: Mutex<AdmissionMode>
  private let state = Mutex(State())

  private struct State {
    /// Devices that wait for an operator, by key.
    var pending: [PublicKey: Pending] = [:]
    /// Whom an operator has turned away lately.
    var denied: [PublicKey: Denial] = [:]
    var wrongTokens = SourceLimits(perSecond: 0.1, burst: 10)
    /// When devices were seen, as far as the store does not know yet.
    var seen: [PublicKey: Int64] = [:]
    /// Until then nothing is noted, since the store has failed.
    var seenPause = Instant(nanoseconds: 0)
  }

  private struct Pending {
    let applicant: Applicant
    let session: Session
    let since: Instant
  }

  private struct Denial {
    let deviceID: String
    let since: Instant
  }

  private static let maximumPending = 256
  private static let maximumPendingOfOneHost = 64
  private static let maximumDenied = 1024
  /// How long a denied device is turned away without asking again.
  private static let deniedFor = Duration.seconds(3600)
  /// How long nothing unimportant is written once that has failed.
  private static let pauseAfterFailure = Duration.seconds(60)

  enum Decision: Sendable {
    /// With this address, which is the device's lease, or the relay host's own. `isNew`: the relay did not know the
    /// device before.
    case admitted(IPv4Address, isNew: Bool = false)
    case refused(Refusal)
    case pending
  }

  init(_ store: SQLiteStore, _ leases: LeaseAllocator, mode: AdmissionMode, logger: Logger) {
    self.store = store
    self.leases = leases
    self.logger = logger
    self.mode = Mutex(mode)
  }

  /// Who has been decided about, or waits, stays so.
  func setMode(_ mode: AdmissionMode) {
    self.mode.withLock { $0 = mode }
  }

  // MARK: Deciding

  /// Decides about a device; `reply` is called once, on any thread. `dead` is an older session of it that has not
  /// answered an echo.
  func decide(_ applicant: Applicant, over dead: Session?, _ reply: @escaping @Sendable (Decision) -> Void) {
    if let refusal = objection(to: applicant) { return reply(.refused(refusal)) }
    let mode = applicant.origin.isRelayHost ? .open : mode.withLock { $0 }
    ask(Question(applicant: applicant, dead: dead, mode: mode), reply)
  }

  /// What is to be decided.
  private struct Question: Sendable {
    let applicant: Applicant
    let dead: Session?
    let mode: AdmissionMode
    /// Nothing is to be written, since this came of it: who is known and has an address needs nothing written.
    var failure: StoreError?
    /// How often it may be asked again: what else is written at the same time may fail.
    var repeats = 3
  }

  private func ask(_ question: Question, _ reply: @escaping @Sendable (Decision) -> Void) {
    let now = UnixTime.now()
    store.perform(
      { [self] transaction throws(StoreError) in try decide(question, transaction, at: now) },
      then: { [self] result in
        switch result {
        case .success((let decision, let reclaimed)):
          if let reclaimed, case .admitted = decision {
            let newcomer = question.applicant.deviceID
            logger.info("the pool is full: \(reclaimed.address) goes from \(reclaimed.deviceID) to \(newcomer)")
          }
          reply(decision)
        case .failure(let error) where error.isOfFile && question.repeats > 0:
          var again = question
          again.failure = question.failure ?? error
          again.repeats -= 1
          ask(again, reply)
        case .failure(let error):
          reply(.refused(refusal(error, to: question.applicant)))
        }
      })
  }

  /// On the store's thread. The lease, if there is one, has been taken from another device.
  private func decide(
    _ question: Question, _ transaction: borrowing Transaction, at now: Int64
  ) throws(StoreError) -> (Decision, LeaseRecord?) {
    let applicant = question.applicant
    let match = try transaction.device(key: applicant.key.bytes)
    if let match {
      guard match.device.status == .active else { throw .admission(.revoked(match.device.id)) }
      guard match.device.id == applicant.deviceID else { throw .admission(.keyBound(to: match.device.id)) }
      if match.key == .current, let decision = try standing(of: question, transaction) { return (decision, nil) }
    } else if let answer = try answer(toStranger: applicant, question.mode, transaction) {
      return (answer, nil)
    }
    if let failure = question.failure { return (.refused(refusal(failure, to: applicant)), nil) }

    var grant = LeaseAllocator.Grant()
    var refusal: Refusal?
    let address = try transaction.attempt { () throws(StoreError) -> IPv4Address? in
      try admit(applicant, match, question.mode, transaction, at: now)
      if applicant.origin.isRelayHost { return leases.presence.network.pool.relayAddress }
      switch try leases.claim(of: applicant, over: question.dead, transaction) {
      case .has(let address): return address
      case .refused(let reason):
        refusal = reason
        return nil
      case .needs(let wanted):
        grant = try leases.grant(wanted, to: applicant.key.bytes, applicant.deviceID, transaction, at: now)
        refusal = leases.poolFull(isReclaimPaused: grant.isReclaimPaused)
        return grant.address
      }
    }
    // So that nobody looks at them again soon.
    for key in grant.inUse { try transaction.touchLease(ofKey: key, at: now) }
    if let address { return (.admitted(address, isNew: match == nil), grant.reclaimed) }
    guard let refusal else { preconditionFailure("a device without an address gets a refusal") }
    return (.refused(refusal), nil)
  }

  /// What is decided about a device that is known under its present key, if nothing has to be written for it.
  private func standing(
    of question: Question, _ transaction: borrowing Transaction
  ) throws(StoreError) -> Decision? {
    if question.applicant.origin.isRelayHost { return .admitted(leases.presence.network.pool.relayAddress) }
    switch try leases.claim(of: question.applicant, over: question.dead, transaction) {
    case .has(let address): return .admitted(address)
    case .refused(let refusal): return .refused(refusal)
    case .needs: return nil
    }
  }

  /// What a device is told that is not known, if it cannot be let in.
  private func answer(
    toStranger applicant: Applicant, _ mode: AdmissionMode, _ transaction: borrowing Transaction
  ) throws(StoreError) -> Decision? {
    // Not before the key: a device that is known already may be behind the same NAT as somebody who guesses.
    if applicant.token != nil, mode != .open { return objectionToToken(of: applicant).map { .refused($0) } }
    if mode == .open { return nil }
    // Who has no invite is not told which device IDs there are.
    guard mode == .approve else {
      return .refused(
        Refusal(
          .inviteNeeded,
          "this relay does not know the device yet and wants an invite; have its operator run `mnedc-ctl invite`, and "
            + "run `mnedc-join` with the line that it prints"))
    }
    if let problem = try transaction.objection(toNew: applicant.deviceID) { throw .admission(problem) }
    return .pending
  }

  /// Sees to it that the device is known under the key that it has come with.
  private func admit(
    _ applicant: Applicant, _ match: DeviceMatch?, _ mode: AdmissionMode, _ transaction: borrowing Transaction,
    at now: Int64
  ) throws(StoreError) {
    let key = applicant.key.bytes
    if let match {
      if match.key == .next { try transaction.promoteNextKey(key) }
    } else if let token = applicant.token, mode != .open {
      try transaction.admit(key: key, id: applicant.deviceID, redeeming: token.hash, at: now)
    } else {
      let admitter: DeviceRecord.AdmissionMethod = applicant.origin.isRelayHost ? .host : .open
      try transaction.admit(key: key, id: applicant.deviceID, by: admitter, at: now)
    }
  }

  private func objection(to applicant: Applicant) -> Refusal? {
    let now = Instant.now()
    return state.withLock { state in
      if let denial = state.denied[applicant.key] {
        if now.since(denial.since) < Self.deniedFor {
          return Self.turnedAway
        }
        state.denied[applicant.key] = nil
      }
      return nil
    }
  }

  private func objectionToToken(of applicant: Applicant) -> Refusal? {
    let host = applicant.origin.host
    let mayTry = state.withLock { $0.wrongTokens.mightAllow(host, at: .now()) }
    return mayTry
      ? nil
      : Refusal(
        .tooManyAttempts, "too many wrong invites have come from \(host); try again in a minute", retryAfter: 10_000)
  }

  private static var turnedAway: Refusal {
    Refusal(.denied, "an operator of the relay has turned this device away; ask why before you try again")
  }

  private func refusal(_ error: StoreError, to applicant: Applicant) -> Refusal {
    switch error {
    case .admission(.idTaken):
      Refusal(
        .deviceIDTaken,
        "the device ID \(applicant.deviceID) belongs to another device; choose another one (--device-id); only if that "
          + "device is gone for good, the relay's operator can free the ID (`mnedc-ctl revoke \(applicant.deviceID)`)")
    case .admission(.labelTaken(let id)):
      Refusal(
        .deviceIDTaken,
        "the device ID \(applicant.deviceID) makes the same host name as \(id), which is another device's "
          + "(\(HostLabel.label(of: id)).\(HostLabel.domain)); choose another one (--device-id); only if that device is gone "
          + "for good, the relay's operator can free the ID (`mnedc-ctl revoke \(id)`)")
    case .admission(.keyBound(let id)):
      Refusal(
        .keyBound,
        "the relay knows this device's key as \(id); join as that (--device-id \(id)); or, if this machine is a copy of "
          + "\(id), run mnedc-join --reset --device-id NAME with an invite")
    case .admission(.revoked(let id)):
      Refusal(
        .revoked,
        "the key of this device was revoked (as \(id)) by the relay's operator; to join again, run mnedc-join --reset with "
          + "a new invite")
    case .invite(let problem):
      refusal(problem, to: applicant)
    case .busy:
      Refusal(
        .busy, "too many devices want to join at once; try again in a while",
        retryAfter: Pacing.retryAfter(store.statistics.waiting))
    default:
      Refusal(.other, "the relay cannot write to its disk, so nobody new can be let in; its log says why")
    }
  }

  private func refusal(_ problem: InviteProblem, to applicant: Applicant) -> Refusal {
    switch problem {
    case .unknown:
      state.withLock { _ = $0.wrongTokens.allow(applicant.origin.host, at: .now()) }
      return Refusal(.inviteUnknown, problem.description)
    case .revoked: return Refusal(.inviteRevoked, problem.description)
    case .usedUp: return Refusal(.inviteUsedUp, problem.description)
    case .expired: return Refusal(.inviteExpired, problem.description)
    case .forAnotherDevice: return Refusal(.inviteForAnother, problem.description)
    }
  }

  // MARK: Being in

  /// Notes that a device has joined or left, for operators to read. Nobody waits for it, and nothing comes of it if the
  /// store fails. Called on any thread.
  func noteSeen(_ applicant: Applicant) {
    let isFirst = state.withLock { state in
      guard Instant.now() >= state.seenPause else { return false }
      state.seen[applicant.key] = UnixTime.now()
      return state.seen.count == 1
    }
    guard isFirst else { return }
    // Those that come until then go along, so that a crowd takes one place in the store's queue.
    store.perform(
      { [self] transaction throws(StoreError) in
        for (key, time) in takeSeen() { try transaction.touch(key: key.bytes, at: time) }
      },
      then: { [self] result in
        guard case .failure = result else { return }
        state.withLock { state in
          state.seen = [:]
          state.seenPause = Instant.now().advanced(by: Self.pauseAfterFailure)
        }
      })
  }

  private func takeSeen() -> [PublicKey: Int64] {
    state.withLock { state in
      defer { state.seen = [:] }
      return state.seen
    }
  }

  // MARK: Keys

  /// Lets the device join with `next` as well; the refusal goes to `reply`, or `nil`. Called on any thread.
  func setNextKey(_ next: PublicKey, of applicant: Applicant, _ reply: @escaping @Sendable (Refusal?) -> Void) {
    store.perform(
      { transaction throws(StoreError) in try transaction.setNextKey(next.bytes, ofKey: applicant.key.bytes) },
      then: { result in
        switch result {
        case .success: reply(nil)
        case .failure(.admission(.keyBound)):
          reply(Refusal(.keyBound, "the new key belongs to another device already; try again, which makes another"))
        case .failure(.busy), .failure(.closed), .failure(.diskFull), .failure(.failed):
          reply(Refusal(.busy, "the relay cannot note the new key now; try again in a while"))
        case .failure(let error): reply(Refusal(.other, error.description))
        }
      })
  }

  // MARK: Waiting for an operator

  /// False: too many wait.
  func keep(_ session: Session, _ applicant: Applicant) -> Bool {
    let former: Session?? = state.withLock { state in
      let former = state.pending[applicant.key]?.session
      let neighbours = state.pending.values.count { $0.applicant.origin.host == applicant.origin.host }
      guard former != nil || state.pending.count < Self.maximumPending && neighbours < Self.maximumPendingOfOneHost
      else { return nil }
      state.pending[applicant.key] = Pending(applicant: applicant, session: session, since: .now())
      return .some(former)
    }
    guard let former else { return false }
    former?.settle(refusing: Refusal(.sessionReplaced, "the device has connected anew"))
    return true
  }

  func drop(_ session: Session, _ applicant: Applicant) {
    state.withLock { state in
      if state.pending[applicant.key]?.session === session { state.pending[applicant.key] = nil }
    }
  }

  var pending: [PendingDevice] {
    let now = Instant.now()
    return state.withLock { state in
      state.pending.values.sorted { $0.since < $1.since }.map { entry in
        PendingDevice(entry.applicant, waiting: now.since(entry.since))
      }
    }
  }

  /// The pending device with this device ID, host name or beginning of a fingerprint.
  private func one(_ name: String) throws(OperatorError) -> Pending {
    let all = state.withLock { Array($0.pending.values) }
    let found = DeviceNames.matches(name, all, id: \.applicant.deviceID, fingerprint: \.applicant.fingerprint).devices
    guard let first = found.first else { throw .nobodyWaits(name, waiting: all.map(\.applicant.deviceID)) }
    guard found.count == 1 else {
      throw .name(
        .ambiguous(
          name,
          found.map { entry in
            DeviceNameError.Candidate(deviceID: entry.applicant.deviceID, fingerprint: entry.applicant.fingerprint)
          }))
    }
    return first
  }

  func approve(_ name: String, _ reply: @escaping @Sendable (Result<PendingDevice, OperatorError>) -> Void) {
    let entry: Pending
    do {
      entry = try one(name)
    } catch {
      return reply(.failure(error))
    }
    let (applicant, now) = (entry.applicant, UnixTime.now())
    let device = PendingDevice(entry.applicant, waiting: Instant.now().since(entry.since))
    store.perform(
      { transaction throws(StoreError) in
        try transaction.admit(key: applicant.key.bytes, id: applicant.deviceID, by: .approved, at: now)
      },
      then: { [self] result in
        switch result {
        case .success:
          drop(entry.session, applicant)
          entry.session.settle(refusing: nil)
          reply(.success(device))
        case .failure(let error):
          reply(.failure(.store(error)))
        }
      })
  }

  func deny(_ name: String) throws(OperatorError) -> PendingDevice {
    let entry = try one(name)
    let now = Instant.now()
    state.withLock { state in
      state.denied = state.denied.filter { now.since($0.value.since) < Self.deniedFor }
      if state.denied.count >= Self.maximumDenied,
        let oldest = state.denied.min(by: { $0.value.since < $1.value.since })?.key
      {
        state.denied[oldest] = nil
      }
      state.denied[entry.applicant.key] = Denial(deviceID: entry.applicant.deviceID, since: now)
    }
    drop(entry.session, entry.applicant)
    entry.session.settle(refusing: Self.turnedAway)
    return PendingDevice(entry.applicant, waiting: now.since(entry.since))
  }

  /// Whose keys are refused now because an operator has turned them away.
  var denied: [DeniedDevice] {
    let now = Instant.now()
    return state.withLock { state in
      state.denied.values.compactMap { denial in
        let rest = Self.deniedFor - now.since(denial.since)
        return rest > .zero ? DeniedDevice(deviceID: denial.deviceID, refusedFor: rest) : nil
      }
    }
  }
}

/// A device that an operator has turned away.
public struct DeniedDevice: Sendable {
  public var deviceID: String
  /// How long its key is still refused.
  public var refusedFor: Duration
}

/// A device that waits for an operator.
public struct PendingDevice: Sendable {
  public var deviceID: String
  public var fingerprint: String
  public var outerAddress: String
  public var waiting: Duration
}

extension PendingDevice {
  fileprivate init(_ applicant: Applicant, waiting: Duration) {
    self.init(
      deviceID: applicant.deviceID, fingerprint: applicant.fingerprint, outerAddress: applicant.origin.name,
      waiting: waiting)
  }
}

/// Why an operator's command did nothing.
public enum OperatorError: Error, Sendable {
  case name(DeviceNameError)
  /// No device of this name waits; the IDs of those that do.
  case nobodyWaits(String, waiting: [String])
  case store(StoreError)
}

extension Token {
  /// What the store knows it by: SHA-256 of the token, which has 128 random bits, so that nothing slower is needed.
  public var hash: [UInt8] { sha256(bytes) }
}
