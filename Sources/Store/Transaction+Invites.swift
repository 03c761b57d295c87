internal import Wire

// Hashes are 32 bytes, times are Unix seconds.
extension Transaction {
  /// How long an invite that is of no use any more is kept, so that who has it is told why: 30 days, in seconds.
  static let inviteMemory: Int64 = 30 * 24 * 3600

  /// Makes an invite for the token of this hash, good for `uses` devices until `expiresAt`, and for `deviceID` alone if that
  /// is given. Those that ended long ago are forgotten.
  ///
  /// Throws `badValue` for a hash that is another invite's and for less than one use.
  public func createInvite(
    tokenHash: [UInt8], uses: Int, expiresAt: Int64, deviceID: String? = nil, at now: Int64
  ) throws(StoreError) -> InviteRecord {
    try connection.run(
      "DELETE FROM invites WHERE min(expires_at, ifnull(ended_at, expires_at)) < ?", .integer(now - Self.inviteMemory))
    var id = Self.randomID()
    while try !invites(where: "id = ?1", .text(id)).isEmpty { id = Self.randomID() }
    try connection.run(
      """
      INSERT INTO invites (id, token_hash, uses_left, uses_total, created_at, expires_at, device_id, revoked)
      VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, 0)
      """, .text(id), .blob(tokenHash), .integer(Int64(uses)), .integer(now), .integer(expiresAt), .optional(deviceID))
    return InviteRecord(
      id: id, tokenHash: tokenHash, usesLeft: uses, usesTotal: uses, createdAt: now, expiresAt: expiresAt,
      deviceID: deviceID, isRevoked: false)
  }

  /// All invites that are remembered, oldest first; see `InviteRecord.state(at:)` for what they are good for.
  public func invites() throws(StoreError) -> [InviteRecord] {
    try invites(where: "?1 ORDER BY created_at, id", .integer(1))
  }

  /// Makes an invite useless; those that it has let in stay. Nothing happens if it is revoked already.
  ///
  /// Throws `noSuchInvite`.
  @discardableResult
  public func revokeInvite(id: String, at now: Int64) throws(StoreError) -> InviteRecord {
    try connection.run(
      "UPDATE invites SET revoked = 1, ended_at = ifnull(ended_at, ?2) WHERE id = ?1 AND revoked = 0", .text(id),
      .integer(now))
    guard let invite = try invites(where: "id = ?1", .text(id)).first else { throw .noSuchInvite(id) }
    return invite
  }

  /// Makes all invites useless that are good for something still; returns how many that were.
  public func revokeInvites(at now: Int64) throws(StoreError) -> Int {
    let usable = try invites().filter { $0.state(at: now) == .usable }
    for invite in usable { try revokeInvite(id: invite.id, at: now) }
    return usable.count
  }

  /// Takes one use of the invite of this hash, for the device ID `id`; returns it as it is then.
  ///
  /// Throws `invite`.
  @discardableResult
  public func redeem(_ tokenHash: [UInt8], forDevice id: String, at now: Int64) throws(StoreError) -> InviteRecord {
    guard let invite = try invites(where: "token_hash = ?1", .blob(tokenHash)).first else { throw .invite(.unknown) }
    switch invite.state(at: now) {
    case .revoked: throw .invite(.revoked)
    case .usedUp: throw .invite(.usedUp)
    case .expired: throw .invite(.expired)
    case .usable: break
    }
    if let only = invite.deviceID, only != id { throw .invite(.forAnotherDevice) }
    try connection.run(
      """
      UPDATE invites SET uses_left = uses_left - 1, ended_at = CASE uses_left WHEN 1 THEN ?2 END WHERE token_hash = ?1
      """, .blob(tokenHash), .integer(now))
    return InviteRecord(
      id: invite.id, tokenHash: tokenHash, usesLeft: invite.usesLeft - 1, usesTotal: invite.usesTotal,
      createdAt: invite.createdAt, expiresAt: invite.expiresAt, deviceID: invite.deviceID, isRevoked: false)
  }

  /// Gives back one use of the invite with this ID. A revoked or expired invite stays so.
  func returnUse(ofInvite id: String) throws(StoreError) {
    try connection.run(
      """
      UPDATE invites SET uses_left = uses_left + 1, ended_at = CASE revoked WHEN 0 THEN NULL ELSE ended_at END
      WHERE id = ? AND uses_left < uses_total
      """, .text(id))
  }

  private func invites(where condition: String, _ value: SQLValue) throws(StoreError) -> [InviteRecord] {
    try connection.rows(
      """
      SELECT id, token_hash, uses_left, uses_total, created_at, expires_at, device_id, revoked FROM invites
      WHERE \(condition)
      """, value
    ) { row in
      InviteRecord(
        id: row.text(0), tokenHash: row.blob(1), usesLeft: Int(row.integer(2)), usesTotal: Int(row.integer(3)),
        createdAt: row.integer(4), expiresAt: row.integer(5), deviceID: row.optionalText(6),
        isRevoked: row.integer(7) != 0)
    }
  }

  /// Eight of Crockford's base 32, 40 bits: digits and letters without i, l, o and u, which people take for others.
  private static func randomID() -> String {
    let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    return String(decoding: (0..<8).map { _ in alphabet[Int.random(in: 0..<32)] }, as: UTF8.self)
  }
}
