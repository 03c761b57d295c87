internal import Wire

/// A device that has been admitted once. Times are Unix seconds.
public struct DeviceRecord: Equatable, Sendable {
  public enum Status: String, Sendable {
    case active
    /// Refused for good. Its device ID is free for another key.
    case revoked
  }

  /// By which way a device was admitted.
  public enum AdmissionMethod: Equatable, Sendable {
    /// The relay admits everybody.
    case open
    /// An operator approved it.
    case approved
    /// It is the relay's own host.
    case host
    /// It had the invite of this ID.
    case invite(String)
  }

  /// The public key, 32 bytes.
  public let key: [UInt8]
  /// The key that it is about to change to, accepted beside `key` until it joins with it.
  public let nextKey: [UInt8]?
  public let id: String
  public let status: Status
  public let admittedBy: AdmissionMethod
  public let admittedAt: Int64
  public let lastSeen: Int64
}

/// The device that a key belongs to.
public struct DeviceMatch: Equatable, Sendable {
  public enum Key: Sendable {
    case current
    case next
  }

  public let device: DeviceRecord
  /// Which of its keys it is.
  public let key: Key
}

/// A device that is in.
public struct Admission: Equatable, Sendable {
  public let device: DeviceRecord
  /// False if this key had been admitted with this device ID before.
  public let isNew: Bool
}

/// Why a key is not admitted with a device ID.
public enum AdmissionProblem: Error, Equatable, CustomStringConvertible {
  /// Another device has the device ID; its key.
  case idTaken(by: [UInt8])
  /// A device of this other ID makes the same host name.
  case labelTaken(by: String)
  /// The key belongs to a device already; its device ID.
  case keyBound(to: String)
  /// The key was revoked, when it belonged to this device ID.
  case revoked(String)

  public var description: String {
    switch self {
    case .idTaken:
      "another device has this device ID; choose another one, or revoke or forget that device at the relay"
    case .labelTaken(let id):
      "the device \(id) makes the same host name (\(HostLabel.label(of: id)).\(HostLabel.domain)); choose another device ID, or "
        + "revoke or forget \(id) at the relay"
    case .keyBound(let id):
      "the key belongs to the device \(id); use that device ID, make a new key, or forget that device at the relay"
    case .revoked(let id):
      "the key was revoked, with the device \(id); make a new key, or forget that device at the relay"
    }
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
