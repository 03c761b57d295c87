import Control
import Noise
import Program
import Relay
import Store
import SystemIO
import Wire

// What the relay knows of invites and devices, as its tools get to see it.

extension Invite {
  /// As it is at the time `now`.
  func report(at now: Int64) -> InvitesReport.Invite {
    InvitesReport.Invite(
      id: id, state: InvitesReport.State(state(at: now)), usesLeft: usesLeft, usesTotal: usesTotal,
      createdAt: Int(createdAt), expiresAt: Int(expiresAt), deviceId: deviceID)
  }
}

extension InvitesReport.State {
  fileprivate init(_ state: Invite.State) {
    self =
      switch state {
      case .usable: .usable
      case .usedUp: .usedUp
      case .expired: .expired
      case .revoked: .revoked
      }
  }
}

extension PendingReport.Device {
  init(_ device: PendingDevice) {
    self.init(
      deviceId: device.deviceID, fingerprint: device.fingerprint, outerAddress: device.outerAddress,
      waiting: device.waiting.roundedSeconds)
  }
}

extension DevicesReport.Device {
  /// `address`: the virtual one, if the device is in.
  init(_ record: DeviceRecord, _ address: IPv4Address?) {
    let (admitter, invite): (DevicesReport.Admitter, String?) =
      switch record.admittedBy {
      case .open: (.open, nil)
      case .approved: (.approved, nil)
      case .host: (.host, nil)
      case .invite(let id): (.invite, id)
      }
    self.init(
      deviceId: record.id, fingerprint: PublicKey(record.key)?.fingerprint ?? "",
      status: record.status == .active ? .active : .revoked, admittedBy: admitter, inviteId: invite,
      admittedAt: Int(record.admittedAt), lastSeenAt: Int(record.lastSeen), online: address != nil,
      address: address?.description)
  }
}

extension LeasesReport.Lease {
  init(_ lease: LeaseStatus) {
    self.init(
      address: lease.address.description, address6: lease.address6?.description, deviceId: lease.deviceID,
      kind: LeasesReport.Kind(lease.kind), online: lease.isOnline, lastUsedAt: Int(lease.lastUsed))
  }
}

extension LeasesReport.Kind {
  fileprivate init(_ kind: LeaseStatus.Kind) {
    self =
      switch kind {
      case .leased: .leased
      case .pinned: .pinned
      case .fixed: .fixed
      case .outside: .outside
      }
  }
}

extension ControlAnswer {
  init<Value>(
    _ result: Result<Value, StoreError>, of deviceID: String = "", _ report: (Value) -> any Codable & Sendable
  ) {
    switch result {
    case .success(let value): self = .report(report(value))
    case .failure(let error): self = .failed(ControlError(error, of: deviceID))
    }
  }

  init(lease result: Result<LeaseStatus, LeaseError>) {
    switch result {
    case .success(let lease): self = .report(LeasesReport([LeasesReport.Lease(lease)]))
    case .failure(.store(let error)): self = .failed(ControlError(error))
    case .failure(let error):
      self = .failed(ControlError(error.isAboutNothing ? .notFound : .failed, error.description))
    }
  }

  init(waiting result: Result<PendingDevice, OperatorError>) {
    switch result {
    case .success(let device): self = .report(PendingReport([PendingReport.Device(device)]))
    case .failure(.store(let error)): self = .failed(ControlError(error))
    case .failure(.nobodyWaits(let name)):
      self = .failed(ControlError(.notFound, OperatorError.nobodyWaits(name).description))
    case .failure(let error): self = .failed(ControlError(.failed, error.description))
    }
  }
}

extension ControlError {
  init(_ error: StoreError, of deviceID: String = "") {
    switch error {
    case .noSuchDevice:
      self.init(.notFound, "the relay knows no device \(deviceID); see `mnedc-ctl devices`")
    case .noSuchInvite(let id):
      self.init(.notFound, "the relay knows no invite \(id); see `mnedc-ctl invites`")
    case .busy, .closed:
      self.init(.busy, error.description)
    default:
      self.init(.failed, error.description)
    }
  }
}

extension LeaseError {
  fileprivate var isAboutNothing: Bool {
    switch self {
    case .noSuchDevice, .noSuchLease: true
    default: false
    }
  }
}
