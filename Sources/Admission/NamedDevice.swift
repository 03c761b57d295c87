internal import Noise
public import Store
internal import Wire

/// A device that an operator has named by its ID, its host name, its virtual address, or the beginning of its key's
/// fingerprint.
public struct NamedDevice: Sendable {
  public let record: DeviceRecord
  /// Whether the name is part of a fingerprint: it then means this key alone, and no other key that had the same ID.
  public let isByKey: Bool

  /// Looks among all devices that were ever admitted. It prefers an active device to revoked ones with the same ID.
  /// `host` is the device ID of the relay's own host, which no name may mean.
  public static func find(
    _ name: String, sparing host: String? = nil, _ records: any NetworkRecords, _ network: RelayNetwork,
    _ presence: any DevicePresence
  ) throws(StoreError) -> Result<NamedDevice, DeviceNameError> {
    let devices = try records.devices()
    let found: NamedDevice
    if let address = IPv4Address(name) ?? IPv6Address(name).flatMap({ network.pool6?.lease(of: $0) }) {
      var holder = presence.holder(of: address)
      if holder == nil { holder = try records.lease(at: address)?.deviceID }
      guard let record = devices.first(where: { $0.id == holder }) else { return .failure(.unknown(name, known: [])) }
      found = NamedDevice(record: record, isByKey: false)
    } else {
      let (matches, isByKey) = DeviceNames.matches(name, devices, id: \.id, fingerprint: \.fingerprint)
      let active = matches.filter { $0.status == .active }
      guard let first = active.first ?? matches.first else {
        return .failure(.unknown(name, known: devices.filter { $0.status == .active }.map(\.id)))
      }
      let isOne = isByKey ? matches.count == 1 : active.count == 1 || Set(matches.map(\.id)).count == 1
      guard isOne else { return .failure(.ambiguous(name, matches, id: \.id, fingerprint: \.fingerprint)) }
      found = NamedDevice(record: first, isByKey: isByKey)
    }
    return found.record.id == host ? .failure(.relayHost(found.record.id)) : .success(found)
  }
}

extension DeviceRecord {
  fileprivate var fingerprint: String { PublicKey(key).map { KeyText.fingerprint(digest: $0.digest) } ?? "" }
}

/// Compares the name that an operator gives with devices.
public enum DeviceNames {
  /// The devices that `name` means: those with this ID; if there are none, those with this host name, with or without
  /// `.mnedc`; else those whose fingerprints begin with it, with or without `SHA256:`. `isByKey` is true in the last
  /// case.
  public static func matches<Device>(
    _ name: String, _ devices: [Device], id: (Device) -> String, fingerprint: (Device) -> String
  ) -> (devices: [Device], isByKey: Bool) {
    let same = devices.filter { id($0) == name }
    if !same.isEmpty { return (same, false) }
    let suffix = ".\(HostLabel.domain)"
    let label = HostLabel.label(of: name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name)
    let hosts = devices.filter { HostLabel.label(of: id($0)) == label }
    if !hosts.isEmpty { return (hosts, false) }
    guard let start = KeyText.fingerprintStart(name) else { return ([], false) }
    return (devices.filter { fingerprint($0).hasPrefix(start) }, true)
  }
}

/// Why a name means no device, or no single one.
public enum DeviceNameError: Error, Equatable, Sendable {
  /// It means no device. `known`: the IDs of all devices.
  case unknown(String, known: [String])
  case ambiguous(String, [Candidate])
  /// It means the relay's own host, whose ID is given.
  case relayHost(String)

  public static func ambiguous<Device>(
    _ name: String, _ devices: [Device], id: (Device) -> String, fingerprint: (Device) -> String
  ) -> DeviceNameError {
    .ambiguous(name, devices.map { Candidate(deviceID: id($0), fingerprint: fingerprint($0)) })
  }

  public struct Candidate: Equatable, Sendable, CustomStringConvertible {
    public var deviceID: String
    public var fingerprint: String

    public var description: String { "\(deviceID) (\(fingerprint))" }
  }

  /// The text for the operator; `near` is a similar ID.
  public func text(suggesting near: String?) -> String {
    switch self {
    case .unknown(let name, _):
      "the relay knows no device \(name); \(near.map { "did you mean \($0)?" } ?? "see `mnedc-ctl devices`")"
    case .ambiguous(let name, let candidates):
      "\(name) means several devices; name one by more of its fingerprint: "
        + candidates.map(\.description).joined(separator: ", ")
    case .relayHost(let id):
      "\(id) is the relay's own host; for a relay that is no device, start mnedcd with --no-device"
    }
  }
}
