// A decision is a pure function of a request and records. It returns changes and effects: the store commits the
// changes, then the relay carries out the effects. So an operation can run again, which a store
// that several relays share needs.

public import Store
public import Wire

/// Which devices are connected. A decision asks when it is made, since devices come and go meanwhile. For any thread.
public protocol DevicePresence: Sendable {
  /// Whether the lease's device is connected, or is about to be.
  func isInUse(_ lease: LeaseRecord) -> Bool
  /// Whether another process with this device ID is connected and may be alive.
  func isContested(_ request: AdmissionRequest) -> Bool
  /// The device ID that is connected at an address.
  func holder(of address: IPv4Address) -> String?
}

/// What an operation comes to: a value, the changes to commit, and what is to happen after the commit.
public struct AdmissionOutcome<Value: Sendable>: Sendable {
  public var value: Value
  public var changes: [RecordChange]
  public var effects: [AdmissionEffect]

  public init(_ value: Value, _ changes: [RecordChange] = [], _ effects: [AdmissionEffect] = []) {
    self.value = value
    self.changes = changes
    self.effects = effects
  }
}

extension AdmissionOutcome: Equatable where Value: Equatable {}

/// What the relay does once an operation's changes are committed.
public enum AdmissionEffect: Equatable, Sendable {
  /// The device has another lease or none, so a decision of before, about this device, is void.
  case leaseMoved(deviceID: String)
  /// As `leaseMoved`, of the lease's device: another device got its address.
  case leaseReclaimed(LeaseRecord, by: String)
}

public enum AdmissionDecision: Equatable, Sendable {
  /// The address is the device's lease, or the relay host's own. `isNew`: the relay did not know the device.
  case admitted(IPv4Address, isNew: Bool)
  case refused(Refusal)
  /// An operator has to decide.
  case pending
}

/// The rules by which the relay admits devices.
public struct AdmissionRules: Sendable {
  let mode: AdmissionMode
  let leases: LeaseAllocator
  /// Whether the host that the device connects from may try another token.
  let mayTryToken: Bool

  public init(_ mode: AdmissionMode, _ leases: LeaseAllocator, mayTryToken: Bool = true) {
    self.mode = mode
    self.leases = leases
    self.mayTryToken = mayTryToken
  }

  /// Decides whether a device may join, and with which address. A known device that has its address needs no change.
  ///
  /// Throws errors of the store alone.
  public func decide(
    _ request: AdmissionRequest, _ records: any NetworkRecords
  ) throws(StoreError) -> AdmissionOutcome<AdmissionDecision> {
    do throws(StoreError) {
      return try consider(request, records)
    } catch {
      guard let refusal = refusal(error, to: request) else { throw error }
      return AdmissionOutcome(.refused(refusal))
    }
  }

  private func consider(
    _ request: AdmissionRequest, _ records: any NetworkRecords
  ) throws(StoreError) -> AdmissionOutcome<AdmissionDecision> {
    let match = try records.device(key: request.key.bytes)
    if let match {
      guard match.device.status == .active else { throw .admission(.revoked(match.device.id)) }
      guard match.device.id == request.deviceID else { throw .admission(.keyBound(to: match.device.id)) }
    } else if let answer = try answer(toUnknown: request, records) {
      return AdmissionOutcome(answer)
    }
    let (device, admission) = try admit(request, match, records)
    if request.isRelayHost {
      return AdmissionOutcome(.admitted(leases.pool.relayAddress, isNew: match == nil), admission)
    }
    var lease: LeaseRecord?
    if let match { lease = try records.lease(ofKey: match.device.key) }
    switch try leases.claim(of: request, lease, records) {
    case .has(let address):
      return AdmissionOutcome(.admitted(address, isNew: match == nil), admission)
    case .refused(let refusal):
      return AdmissionOutcome(.refused(refusal))
    case .needs(let wanted):
      let grant = try leases.grant(wanted, to: device, former: lease, records)
      guard let lease = grant.lease else {
        return AdmissionOutcome(.refused(leases.poolFull(isReclaimPaused: grant.isReclaimPaused)), grant.inUse)
      }
      return AdmissionOutcome(
        .admitted(lease.address, isNew: match == nil), admission + grant.inUse + grant.changes, grant.effects)
    }
  }

  /// The answer to a device that the relay does not know; `nil` if it may be admitted.
  private func answer(
    toUnknown request: AdmissionRequest, _ records: any NetworkRecords
  ) throws(StoreError) -> AdmissionDecision? {
    if mode == .open || request.isRelayHost { return nil }
    // Only now, since a known device may be behind the same NAT as a guesser.
    if request.token != nil {
      guard !mayTryToken else { return nil }
      return .refused(
        Refusal(
          .tooManyAttempts, "too many wrong invites have come from \(request.host); try again in a minute",
          retryAfter: 10_000))
    }
    // A device without an invite does not learn which device IDs are taken.
    guard mode == .approve else {
      return .refused(
        Refusal(
          .inviteNeeded,
          "this relay does not know the device yet and wants an invite; have its operator run `mnedc-ctl invite`, and "
            + "run `mnedc-join` with the line that it prints"))
    }
    if let problem = try records.objection(toNew: request.deviceID) { throw .admission(problem) }
    return .pending
  }

  /// The device under the key that it came with, and what has to change for that.
  private func admit(
    _ request: AdmissionRequest, _ match: DeviceMatch?, _ records: any NetworkRecords
  ) throws(StoreError) -> (DeviceRecord, [RecordChange]) {
    let (key, now) = (request.key.bytes, leases.now)
    if let match { return match.key == .next ? try records.promoteNextKey(key) : (match.device, []) }
    if let token = request.token, mode != .open, !request.isRelayHost {
      return try records.admit(key: key, id: request.deviceID, redeeming: token.hash, at: now)
    }
    return try records.admit(key: key, id: request.deviceID, by: request.isRelayHost ? .host : .open, at: now)
  }

  /// What the device is told; `nil` for errors of the store itself.
  private func refusal(_ error: StoreError, to request: AdmissionRequest) -> Refusal? {
    let id = request.deviceID
    switch error {
    case .admission(.idTaken):
      return Refusal(
        .deviceIDTaken,
        "the device ID \(id) belongs to another device; choose another one (--device-id); only if that device is gone "
          + "for good, the relay's operator can free the ID (`mnedc-ctl revoke \(id)`)")
    case .admission(.labelTaken(let other)):
      return Refusal(
        .deviceIDTaken,
        "the device ID \(id) makes the same host name as \(other), which is another device's "
          + "(\(HostLabel.label(of: other)).\(HostLabel.domain)); choose another one (--device-id); only if that "
          + "device is gone for good, the relay's operator can free the ID (`mnedc-ctl revoke \(other)`)")
    case .admission(.keyBound(let bound)):
      return Refusal(
        .keyBound,
        "the relay knows this device's key as \(bound); join as that (--device-id \(bound)); or, if this machine is a "
          + "copy of \(bound), run mnedc-join --reset --device-id NAME with an invite")
    case .admission(.revoked(let revoked)):
      return Refusal(
        .revoked,
        "the key of this device was revoked (as \(revoked)) by the relay's operator; to join again, run "
          + "mnedc-join --reset with a new invite")
    case .invite(let problem):
      let code: Refusal.Code =
        switch problem {
        case .unknown: .inviteUnknown
        case .revoked: .inviteRevoked
        case .usedUp: .inviteUsedUp
        case .expired: .inviteExpired
        case .forAnotherDevice: .inviteForAnother
        }
      return Refusal(code, problem.description)
    default:
      return nil
    }
  }
}
