public import Wire

/// Leave to be admitted, for whoever has the token. Times are Unix seconds.
public struct InviteRecord: Equatable, Sendable {
  /// What people call it by: eight digits and letters. No secret.
  public let id: String
  /// The token's hash, 32 bytes; the token itself is not kept.
  public let tokenHash: [UInt8]
  public let usesLeft: Int
  public let usesTotal: Int
  public let createdAt: Int64
  /// The first second in which it is no longer good.
  public let expiresAt: Int64
  /// The only device ID that it is good for; `nil`: for any.
  public let deviceID: String?
  public let isRevoked: Bool

  /// What it is good for at the time `now`.
  public func state(at now: Int64) -> InviteState {
    if isRevoked { return .revoked }
    if usesLeft == 0 { return .usedUp }
    return now >= expiresAt ? .expired : .usable
  }
}

/// Why a token is not taken.
public enum InviteProblem: Error, Equatable, CustomStringConvertible {
  case unknown
  case revoked
  case usedUp
  case expired
  case forAnotherDevice

  public var description: String {
    switch self {
    case .unknown: "the relay does not know this invite; ask its operator for a new one"
    case .revoked: "the invite was revoked; ask the relay's operator for a new one"
    case .usedUp: "the invite is used up; ask the relay's operator for a new one"
    case .expired: "the invite has expired; ask the relay's operator for a new one"
    case .forAnotherDevice: "the invite is for another device ID; use that one, or ask the relay's operator for one"
    }
  }
}
