internal import Wire

/// A device that was admitted. Times are Unix seconds.
public struct DeviceRecord: Equatable, Sendable {
  public enum Status: String, Sendable {
    case active
    /// Refused for good. Its device ID is free for another key.
    case revoked
  }

  /// How a device was admitted.
  public enum AdmissionMethod: Equatable, Sendable {
    /// The relay admits every device.
    case open
    /// An operator approved the device.
    case approved
    /// The device is the relay's own host.
    case host
    /// The device had the invite with this ID.
    case invite(String)
  }

  /// The public key, 32 bytes.
  public internal(set) var key: [UInt8]
  /// The key that the device is about to change to. The relay accepts both keys until the device joins with this one.
  public internal(set) var nextKey: [UInt8]?
  public let id: String
  public internal(set) var status: Status
  public let admittedBy: AdmissionMethod
  public let admittedAt: Int64
  public internal(set) var lastSeen: Int64
}

/// The device that a key belongs to.
public struct DeviceMatch: Equatable, Sendable {
  public enum Key: Sendable {
    case current
    case next
  }

  public let device: DeviceRecord
  /// Which of the device's keys matches.
  public let key: Key
}

/// Why a key is not admitted with a device ID.
public enum AdmissionProblem: Error, Equatable, CustomStringConvertible {
  /// Another device has the device ID; its key.
  case idTaken(by: [UInt8])
  /// A device with this other ID makes the same host name.
  case labelTaken(by: String)
  /// The key belongs to a device already; its device ID.
  case keyBound(to: String)
  /// The key was revoked, with the device of this ID.
  case revoked(String)

  public var description: String {
    switch self {
    case .idTaken:
      "another device has this device ID; choose another one, or revoke or forget that device at the relay"
    case .labelTaken(let id):
      "the device \(id) makes the same host name (\(HostLabel.label(of: id)).\(HostLabel.domain)); choose another "
        + "device ID, or revoke or forget \(id) at the relay"
    case .keyBound(let id):
      "the key belongs to the device \(id); use that device ID, make a new key, or forget that device at the relay"
    case .revoked(let id):
      "the key was revoked, with the device \(id); make a new key, or forget that device at the relay"
    }
  }
}

// MARK: Admission

extension NetworkRecords {
  /// Binds `key` to the device ID `id`. Changes nothing if the device is known.
  ///
  /// Throws `admission`: the key is revoked or belongs to another ID, or another device has the ID or its host name.
  public func admit(
    key: [UInt8], id: String, by method: DeviceRecord.AdmissionMethod, at now: Int64
  ) throws(StoreError) -> (DeviceRecord, [RecordChange]) {
    if let known = try knownDevice(key: key, id: id) { return (known, []) }
    if let problem = try objection(toNew: id) { throw .admission(problem) }
    let device = DeviceRecord(
      key: key, nextKey: nil, id: id, status: .active, admittedBy: method, admittedAt: now, lastSeen: now)
    return (device, [.putDevice(device)])
  }

  /// As `admit`, by the invite whose token has this hash, of which it takes one use. A known device takes none, so that
  /// it can ask again when the answer was lost.
  ///
  /// Throws `admission` or `invite`. A device without a valid invite does not learn which device IDs are taken.
  public func admit(
    key: [UInt8], id: String, redeeming tokenHash: [UInt8], at now: Int64
  ) throws(StoreError) -> (DeviceRecord, [RecordChange]) {
    if let known = try knownDevice(key: key, id: id) { return (known, []) }
    let invite = try redeem(tokenHash, forDevice: id, at: now)
    let (device, changes) = try admit(key: key, id: id, by: .invite(invite.id), at: now)
    return (device, [.putInvite(invite)] + changes)
  }

  /// The active device that has this key and this ID; `nil` if the key is new.
  private func knownDevice(key: [UInt8], id: String) throws(StoreError) -> DeviceRecord? {
    guard let known = try device(key: key)?.device else { return nil }
    guard known.status == .active else { throw .admission(.revoked(known.id)) }
    guard known.id == id else { throw .admission(.keyBound(to: known.id)) }
    return known
  }

  /// Why no new device can have the device ID `id`: another active device has it, or one that makes the same host name.
  public func objection(toNew id: String) throws(StoreError) -> AdmissionProblem? {
    let holders = try activeDevices(label: HostLabel.label(of: id))
    if let same = holders.first(where: { $0.id == id }) { return .idTaken(by: same.key) }
    return holders.first.map { .labelTaken(by: $0.id) }
  }

  /// Groups of active devices whose IDs make one host name, admitted before the relay refused that; at most 100 groups.
  public func labelClashes() throws(StoreError) -> [[String]] {
    let active = try devices().filter { $0.status == .active }.map(\.id)
    let groups = Dictionary(grouping: active) { HostLabel.label(of: $0) }.filter { $0.value.count > 1 }
    return groups.sorted { $0.key < $1.key }.prefix(100).map(\.value)
  }

  /// Undoes the admission of the device with this key and ID: removes the device and its lease, and returns the use to
  /// its invite. Changes nothing if there is no such active device, or if an operator approved it.
  public func undoAdmission(key: [UInt8], id: String) throws(StoreError) -> [RecordChange] {
    guard let device = try device(key: key)?.device, device.id == id, device.status == .active,
      device.admittedBy != .approved
    else { return [] }
    var changes = try removal(of: device)
    if case .invite(let id) = device.admittedBy, let invite = try invites().first(where: { $0.id == id }),
      invite.usesLeft < invite.usesTotal
    {
      changes.append(.putInvite(invite.withUseReturned))
    }
    return changes
  }

  // MARK: Keys

  /// The first phase of a key change: from now on the device with `key` may also join with `next`, until
  /// `promoteNextKey`. Replaces an earlier next key; `nil` cancels the key change.
  ///
  /// Throws `noSuchDevice`, or `admission`: the device is revoked, or `next` belongs to a device.
  public func setNextKey(_ next: [UInt8]?, ofKey key: [UInt8]) throws(StoreError) -> [RecordChange] {
    guard let match = try device(key: key), match.key == .current else { throw .noSuchDevice }
    guard match.device.status == .active else { throw .admission(.revoked(match.device.id)) }
    if let next, next != match.device.nextKey, let holder = try device(key: next)?.device {
      throw .admission(.keyBound(to: holder.id))
    }
    var device = match.device
    device.nextKey = next
    return [.putDevice(device)]
  }

  /// The second phase: the device has joined with `next`, which becomes its only key. Changes nothing if it is already.
  ///
  /// Throws `noSuchDevice`, or `admission`: the device is revoked.
  public func promoteNextKey(_ next: [UInt8]) throws(StoreError) -> (DeviceRecord, [RecordChange]) {
    guard let match = try device(key: next) else { throw .noSuchDevice }
    guard match.device.status == .active else { throw .admission(.revoked(match.device.id)) }
    guard match.key == .next else { return (match.device, []) }
    var changes = try removal(of: match.device)
    var device = match.device
    device.key = next
    device.nextKey = nil
    changes.append(.putDevice(device))
    if var lease = try lease(ofKey: match.device.key) {
      lease.key = next
      changes.append(.putLease(lease))
    }
    return (device, changes)
  }

  // MARK: Removal

  /// Refuses the device with this key for good, by all its keys, and frees its ID and its address. Changes nothing if
  /// it is revoked.
  ///
  /// Throws `noSuchDevice`.
  public func revoke(key: [UInt8]) throws(StoreError) -> (DeviceRecord, [RecordChange]) {
    guard var device = try device(key: key)?.device else { throw .noSuchDevice }
    guard device.status == .active else { return (device, []) }
    device.status = .revoked
    return (device, try leaseRemoval(of: device) + [.putDevice(device)])
  }

  /// Removes the device with this key, which may then be admitted again. Throws `noSuchDevice`.
  public func forget(key: [UInt8]) throws(StoreError) -> ([DeviceRecord], [RecordChange]) {
    guard let device = try device(key: key)?.device else { throw .noSuchDevice }
    return ([device], try removal(of: device))
  }

  /// Removes the active device with this ID; if there is none, the revoked devices that had it.
  ///
  /// Returns the removed devices. Throws `noSuchDevice`.
  public func forget(id: String) throws(StoreError) -> ([DeviceRecord], [RecordChange]) {
    let all = try devices(id: id)
    let active = all.filter { $0.status == .active }
    let forgotten = active.isEmpty ? all : active
    if forgotten.isEmpty { throw .noSuchDevice }
    var changes: [RecordChange] = []
    for device in forgotten { changes += try removal(of: device) }
    return (forgotten, changes)
  }

  private func removal(of device: DeviceRecord) throws(StoreError) -> [RecordChange] {
    try leaseRemoval(of: device) + [.removeDevice(key: device.key)]
  }

  private func leaseRemoval(of device: DeviceRecord) throws(StoreError) -> [RecordChange] {
    try lease(ofKey: device.key).map { [.removeLease($0.address)] } ?? []
  }
}

extension DeviceRecord.AdmissionMethod {
  // No invite's ID has the letter o, so these are never one.
  private static let openText = "open"
  private static let approvedText = "approved"
  private static let hostText = "host"

  init(text: String) {
    self =
      switch text {
      case Self.openText: .open
      case Self.approvedText: .approved
      case Self.hostText: .host
      default: .invite(text)
      }
  }

  var text: String {
    switch self {
    case .open: Self.openText
    case .approved: Self.approvedText
    case .host: Self.hostText
    case .invite(let id): id
    }
  }
}
