public import Wire

/// A permission to be admitted, for every device that has the token. Times are Unix seconds.
public struct InviteRecord: Equatable, Sendable {
  /// The name for people: eight digits and letters. Not secret.
  public let id: String
  /// The token's hash, 32 bytes; the token itself is not stored.
  public let tokenHash: [UInt8]
  public internal(set) var usesLeft: Int
  public let usesTotal: Int
  public let createdAt: Int64
  /// The first second in which the invite is not valid.
  public let expiresAt: Int64
  /// The only device ID that may use it; `nil`: any.
  public let deviceID: String?
  public internal(set) var isRevoked = false
  /// When it was used up or revoked.
  var endedAt: Int64?

  /// The state at the time `now`.
  public func state(at now: Int64) -> InviteState {
    if isRevoked { return .revoked }
    if usesLeft == 0 { return .usedUp }
    return now >= expiresAt ? .expired : .usable
  }

  /// With one use more. A revoked or expired invite stays so.
  var withUseReturned: InviteRecord {
    var invite = self
    invite.usesLeft += 1
    if !isRevoked { invite.endedAt = nil }
    return invite
  }
}

/// Why a token is not accepted.
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
    case .forAnotherDevice:
      "this invite is for a device with another ID; run this again with --device-id and the ID that the operator "
        + "chose, or ask for an invite for this ID"
    }
  }
}

/// How long a store keeps an invite that is not usable any more, so that a device that tries it learns why: 30 days, in
/// seconds.
private let inviteMemory: Int64 = 30 * 24 * 3600

extension NetworkRecords {
  /// Makes an invite for the token of this hash: for `uses` devices, until `expiresAt`, and for `deviceID` alone if
  /// that is given. Removes invites that ended more than 30 days ago.
  ///
  /// The commit fails with `badValue` for a hash that another invite has, and for less than one use.
  public func createInvite(
    tokenHash: [UInt8], uses: Int, expiresAt: Int64, deviceID: String? = nil, at now: Int64
  ) throws(StoreError) -> (InviteRecord, [RecordChange]) {
    let invites = try invites()
    let old = invites.filter { min($0.expiresAt, $0.endedAt ?? .max) < now - inviteMemory }
    var id = InviteRecord.randomID()
    while invites.contains(where: { $0.id == id }) { id = InviteRecord.randomID() }
    let invite = InviteRecord(
      id: id, tokenHash: tokenHash, usesLeft: uses, usesTotal: uses, createdAt: now, expiresAt: expiresAt,
      deviceID: deviceID)
    return (invite, old.map { .removeInvite(id: $0.id) } + [.putInvite(invite)])
  }

  /// Makes an invite unusable; the devices that it admitted stay. Changes nothing if it is revoked.
  ///
  /// Throws `noSuchInvite`.
  public func revokeInvite(id: String, at now: Int64) throws(StoreError) -> (InviteRecord, [RecordChange]) {
    guard let invite = try invites().first(where: { $0.id == id }) else { throw .noSuchInvite(id) }
    let revoked = invite.revoked(at: now)
    return (revoked, revoked == invite ? [] : [.putInvite(revoked)])
  }

  /// Makes all usable invites unusable; returns their number.
  public func revokeInvites(at now: Int64) throws(StoreError) -> (Int, [RecordChange]) {
    let usable = try invites().filter { $0.state(at: now) == .usable }
    return (usable.count, usable.map { .putInvite($0.revoked(at: now)) })
  }

  /// The invite with this hash after one more use, by the device ID `id`.
  ///
  /// Throws `invite`.
  func redeem(_ tokenHash: [UInt8], forDevice id: String, at now: Int64) throws(StoreError) -> InviteRecord {
    guard var invite = try invite(tokenHash: tokenHash) else { throw .invite(.unknown) }
    switch invite.state(at: now) {
    case .revoked: throw .invite(.revoked)
    case .usedUp: throw .invite(.usedUp)
    case .expired: throw .invite(.expired)
    case .usable: break
    }
    if let only = invite.deviceID, only != id { throw .invite(.forAnotherDevice) }
    invite.usesLeft -= 1
    if invite.usesLeft == 0 { invite.endedAt = now }
    return invite
  }
}

extension InviteRecord {
  fileprivate func revoked(at now: Int64) -> InviteRecord {
    guard !isRevoked else { return self }
    var invite = self
    invite.isRevoked = true
    invite.endedAt = endedAt ?? now
    return invite
  }

  /// A new ID: eight of Crockford's base 32, 40 random bits. Digits and letters without i, l, o and u, which people
  /// confuse.
  fileprivate static func randomID() -> String {
    let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    return String(decoding: (0..<8).map { _ in alphabet[Int.random(in: 0..<32)] }, as: UTF8.self)
  }
}
