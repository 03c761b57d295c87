import Admission
import CommandLine
import Config
import Control
import Noise
import Relay
import Store
import SystemIO
import Wire

// Reports and errors of admission, for the tools.

extension InviteRecord {
  /// The invite's state at the time `now`.
  func report(at now: Int64) -> InvitesReport.Invite {
    InvitesReport.Invite(
      id: id, state: state(at: now), usesLeft: usesLeft, usesTotal: usesTotal,
      createdAt: Int(createdAt), expiresAt: Int(expiresAt), deviceId: deviceID)
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
  /// `address`: the virtual one, if the device is connected.
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
      kind: lease.kind, online: lease.isOnline, lastUsedAt: Int(lease.lastUsed))
  }
}

extension ControlAnswer {
  init<Value>(_ result: Result<Value, StoreError>, _ report: (Value) -> any Codable & Sendable) {
    switch result {
    case .success(let value): self = .report(report(value))
    case .failure(let error): self = .failed(ControlError(error))
    }
  }

  init<Value>(_ result: Result<Value, OperatorError>, _ report: (Value) -> any Codable & Sendable) {
    switch result {
    case .success(let value): self = .report(report(value))
    case .failure(let error): self = .failed(ControlError(error))
    }
  }

  init(lease result: Result<LeaseStatus, LeaseError>) {
    switch result {
    case .success(let lease): self = .report(LeasesReport([LeasesReport.Lease(lease)]))
    case .failure(.store(let error)): self = .failed(ControlError(error))
    case .failure(.name(let error)): self = .failed(ControlError(error))
    case .failure(.noSuchLease(let name)):
      self = .failed(ControlError(.notFound, LeaseError.noSuchLease(name).description))
    case .failure(let error): self = .failed(ControlError(.failed, error.description))
    }
  }

  init(waiting result: Result<PendingDevice, OperatorError>) {
    self.init(result) { PendingReport([PendingReport.Device($0)]) }
  }
}

extension ControlError {
  init(_ error: OperatorError) {
    switch error {
    case .name(let error): self.init(error)
    case .store(let error): self.init(error)
    case .nobodyWaits(let name, let waiting):
      let near = Self.near(name, among: waiting).map { "did you mean \($0)?" } ?? "see `mnedc-ctl pending`"
      self.init(.notFound, "no device \(name) waits for approval; \(near)")
    }
  }

  init(_ error: DeviceNameError) {
    switch error {
    case .unknown(let name, let known):
      self.init(.notFound, error.text(suggesting: Self.near(name, among: known)))
    case .ambiguous, .relayHost: self.init(.failed, error.text(suggesting: nil))
    }
  }

  /// The IDs that were perhaps meant, as text: the nearest, else some that begin with `name`. IDs are compared as host
  /// names, so case and separators make no difference.
  private static func near(_ name: String, among ids: [String]) -> String? {
    let idsByLabel = Dictionary(ids.map { (HostLabel.label(of: $0), $0) }) { first, _ in first }
    let found = suggestions(for: HostLabel.label(of: name), among: Array(idsByLabel.keys)).compactMap { idsByLabel[$0] }
    return found.isEmpty ? nil : found.joined(separator: " or ")
  }

  init(_ error: StoreError) {
    switch error {
    case .noSuchInvite(let id):
      self.init(.notFound, "the relay knows no invite \(id); see `mnedc-ctl invites`")
    case .busy, .closed:
      self.init(.busy, error.description)
    default:
      self.init(.failed, error.description)
    }
  }
}
