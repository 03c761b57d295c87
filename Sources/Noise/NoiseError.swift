/// Why a handshake failed.
public enum NoiseError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A received message ends before what must stand in it.
  case tooShort
  /// A message is longer than `Handshake.maximumMessage`, here or at the other end.
  case tooLong
  /// A public key with which everybody would agree on zero.
  case badKey
  /// What was received does not open: it was changed, is meant for another key, or answers another handshake.
  case authentication
  /// A message came when none is due: it is our turn to write, or the handshake is finished.
  case outOfTurn
  /// The handshake failed before; a new one must be begun.
  case failed

  public var description: String {
    switch self {
    case .tooShort: "a handshake message that is too short"
    case .tooLong: "a handshake message of more than \(Handshake.maximumMessage) bytes"
    case .badKey: "a public key that cannot be used"
    case .authentication: "a handshake message that does not open with our keys"
    case .outOfTurn: "a handshake message when none is due"
    case .failed: "a handshake that has failed before"
    }
  }
}
