internal import Admission
internal import Logging
internal import Store
internal import Synchronization
internal import SystemIO
internal import Wire

/// Runs decisions about devices and operators' commands on the store, and their effects after the commit. For any
/// thread.
final class AdmissionController: Sendable {
  // Set once.
  let store: any NetworkStore
  let presence: Presence
  let gracePeriod: ReclaimGracePeriod
  let approvals = ApprovalQueue()
  private let age: Duration
  private let logger: Logger

  private let mode: Mutex<AdmissionMode>
  private let wrongTokens = Mutex(SourceLimits(perSecond: 0.1, burst: 10))
  private let seen = Mutex(SeenNotes())

  init(_ settings: RelaySettings, _ presence: Presence, logger: Logger) {
    store = settings.store
    age = settings.leaseAge
    mode = Mutex(settings.reloadable.admission)
    gracePeriod = ReclaimGracePeriod(age: settings.leaseAge, returnTime: settings.returnTime)
    self.presence = presence
    self.logger = logger
  }

  /// Decisions of before hold.
  func setMode(_ mode: AdmissionMode) {
    self.mode.withLock { $0 = mode }
  }

  // MARK: Operations

  /// Runs an operation; its effects follow the commit and precede `then`.
  func perform<Value: Sendable>(
    _ operation:
      @escaping @Sendable (LeaseAllocator, any NetworkRecords) throws(StoreError) -> AdmissionOutcome<Value>,
    then: @escaping @Sendable (Result<Value, StoreError>) -> Void
  ) {
    store.perform(
      { [self] records throws(StoreError) in
        let outcome = try operation(allocator, records)
        return ((outcome.value, outcome.effects), outcome.changes)
      },
      then: { [self] (result: Result<(Value, [AdmissionEffect]), StoreError>) in
        if case .success((_, let effects)) = result {
          for effect in effects { carryOut(effect) }
        }
        then(result.map(\.0))
      })
  }

  private var allocator: LeaseAllocator {
    let now = UnixTime.now()
    return LeaseAllocator(
      presence.network.pool, age: age, mayReclaim: gracePeriod.isOver(at: .now(), now), at: now, presence: presence)
  }

  private func carryOut(_ effect: AdmissionEffect) {
    switch effect {
    case .leaseMoved(let deviceID):
      presence.noteMove(of: deviceID)
    case .leaseReclaimed(let lease, let newcomer):
      presence.noteMove(of: lease.deviceID)
      logger.info("the pool is full: \(lease.address) goes from \(lease.deviceID) to \(newcomer)")
    }
  }

  // MARK: Decisions

  /// Decides about a device; `reply` is called once, on any thread.
  func decide(_ request: AdmissionRequest, _ reply: @escaping @Sendable (AdmissionDecision) -> Void) {
    if let refusal = approvals.denial(of: request) { return reply(.refused(refusal)) }
    attempt(request, failure: nil, repeats: 3, reply)
  }

  /// `failure`: what an earlier attempt failed with. Then nothing may be written, so a device that is known and has its
  /// address is admitted, and others are refused. The attempt may fail again, because other operations in the same
  /// transaction write.
  private func attempt(
    _ request: AdmissionRequest, failure: StoreError?, repeats: Int,
    _ reply: @escaping @Sendable (AdmissionDecision) -> Void
  ) {
    let (mode, mayTryToken) = (
      mode.withLock { $0 }, wrongTokens.withLock { $0.mightAllow(request.host, at: .now()) }
    )
    perform(
      { [self] allocator, records throws(StoreError) in
        let outcome = try AdmissionRules(mode, allocator, mayTryToken: mayTryToken).decide(request, records)
        guard let failure, !outcome.changes.isEmpty else { return outcome }
        return AdmissionOutcome(.refused(refusal(failure)))
      },
      then: { [self] result in
        switch result {
        case .success(let decision):
          if case .refused(let refusal) = decision, refusal.code == .inviteUnknown {
            wrongTokens.withLock { _ = $0.allow(request.host, at: .now()) }
          }
          reply(decision)
        case .failure(let error) where error.isOfFile && repeats > 0:
          attempt(request, failure: failure ?? error, repeats: repeats - 1, reply)
        case .failure(let error):
          reply(.refused(refusal(error)))
        }
      })
  }

  private func refusal(_ error: StoreError) -> Refusal {
    guard error == .busy else {
      return Refusal(.other, "the relay cannot write to its disk, so nobody new can be let in; its log says why")
    }
    return Refusal(
      .busy, "too many devices want to join at once; try again in a while",
      retryAfter: RelaySettings.retryAfter(store.statistics.waiting))
  }

  /// Undoes an admission that the device has declined. To be called once the device's session is withdrawn. A device
  /// that has connected again meanwhile stays.
  func undoAdmission(of request: AdmissionRequest) {
    perform(
      { allocator, records throws(StoreError) in try allocator.undoAdmission(of: request, records) },
      then: { [logger] result in
        guard case .failure(let error) = result else { return }
        logger.warning("\(request.deviceID) has declined to join, but the relay keeps it and its lease: \(error)")
      })
  }

  /// Accepts `next` as well when the device joins. `reply` gets the refusal, or `nil`, on any thread.
  func setNextKey(_ next: PublicKey, of request: AdmissionRequest, _ reply: @escaping @Sendable (Refusal?) -> Void) {
    store.perform(
      { records throws(StoreError) in ((), try records.setNextKey(next.bytes, ofKey: request.key.bytes)) },
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

  /// Replies with those of `keys` that active devices have, on any thread; `nil`: the store cannot tell now.
  func findKnown(among keys: [PublicKey], _ reply: @escaping @Sendable ([PublicKey]?) -> Void) {
    store.read(
      { records throws(StoreError) in
        var known: [PublicKey] = []
        for key in keys where try records.device(key: key.bytes)?.device.status == .active { known.append(key) }
        return known
      },
      then: { reply(try? $0.get()) })
  }

  /// Admits a pending device.
  func approve(_ name: String, _ reply: @escaping @Sendable (Result<PendingDevice, OperatorError>) -> Void) {
    let entry: ApprovalQueue.Entry
    do {
      entry = try approvals.entry(named: name)
    } catch {
      return reply(.failure(error))
    }
    let (request, device) = (entry.request, entry.device)
    store.perform(
      { records throws(StoreError) in
        try records.admit(key: request.key.bytes, id: request.deviceID, by: .approved, at: UnixTime.now())
      },
      then: { [approvals] result in
        if case .success = result {
          approvals.remove(entry.session, request)
          entry.session.settle(refusing: nil)
        }
        reply(result.map { _ in device }.mapError { .store($0) })
      })
  }

  // MARK: Last seen

  /// When devices were seen, as far as the store does not know.
  private struct SeenNotes {
    var times: [PublicKey: Int64] = [:]
    /// Whether an operation that writes them waits.
    var isPosted = false
    /// Until then nothing is noted, because the store failed.
    var pause = Instant(nanoseconds: 0)
  }

  /// How long nothing is noted after a failure.
  private static let pauseAfterFailure = Duration.seconds(60)

  /// Notes that a device has joined, left or is connected. Nobody waits for the note, and a failure only loses it.
  func noteSeen(_ request: AdmissionRequest) {
    let isFirst = seen.withLock { seen in
      guard Instant.now() >= seen.pause else { return false }
      seen.times[request.key] = UnixTime.now()
      defer { seen.isPosted = true }
      return !seen.isPosted
    }
    if isFirst { writeSeen() }
  }

  /// Writes all notes in one operation, so that a crowd takes one place in the store's queue.
  private func writeSeen() {
    store.perform(
      { [self] _ throws(StoreError) in
        let times = seen.withLock { $0.times }
        return (times, times.map { .seen(key: $0.key.bytes, at: $0.value) })
      },
      then: { [self] result in
        let hasMore = seen.withLock { seen in
          switch result {
          case .success(let written):
            seen.times = seen.times.filter { written[$0.key] != $0.value }
          case .failure:
            seen.times = [:]
            seen.pause = Instant.now().advanced(by: Self.pauseAfterFailure)
          }
          seen.isPosted = !seen.times.isEmpty
          return seen.isPosted
        }
        if hasMore { writeSeen() }
      })
  }
}
