internal import Wire

// Keys are 32 bytes, times are Unix seconds.
extension Transaction {
  // MARK: Who is known

  /// The device that `key` belongs to, as its key or the one it is about to change to; revoked ones too.
  public func device(key: [UInt8]) throws(StoreError) -> DeviceMatch? {
    // One of a device's keys is never a key of another one.
    let device = try devices(where: "key = ?1 OR next_key = ?1", .blob(key)).first
    return device.map { DeviceMatch(device: $0, key: $0.key == key ? .current : .next) }
  }

  /// The active device of this ID; if there is none, the revoked one that was admitted last.
  public func device(id: String) throws(StoreError) -> DeviceRecord? {
    try devices(where: "device_id = ?1 ORDER BY status, admitted_at DESC", .text(id)).first
  }

  /// All devices, the revoked ones too, by ID; of one ID the active one first.
  public func devices() throws(StoreError) -> [DeviceRecord] {
    try devices(where: "?1 ORDER BY device_id, status, admitted_at DESC", .integer(1))
  }

  private func devices(where condition: String, _ value: SQLValue) throws(StoreError) -> [DeviceRecord] {
    try connection.rows(
      """
      SELECT key, next_key, device_id, status, admitted_by, admitted_at, last_seen FROM devices WHERE \(condition)
      """, value
    ) { row in
      DeviceRecord(
        key: row.blob(0), nextKey: row.optionalBlob(1), id: row.text(2),
        // What is not known to be active is refused.
        status: DeviceRecord.Status(rawValue: row.text(3)) ?? .revoked,
        admittedBy: DeviceRecord.AdmissionMethod(text: row.text(4)), admittedAt: row.integer(5),
        lastSeen: row.integer(6))
    }
  }

  // MARK: Coming in

  /// Binds `key` to the device ID `id`. A device that is in already stays as it is.
  ///
  /// Throws `admission`: the key was revoked or belongs to another ID, or another key has this one, or one that makes the same
  /// host name.
  @discardableResult
  public func admit(
    key: [UInt8], id: String, by admitter: DeviceRecord.AdmissionMethod, at now: Int64
  ) throws(StoreError) -> Admission {
    if let known = try knownDevice(key: key, id: id) { return Admission(device: known, isNew: false) }
    if let problem = try objection(toNew: id) { throw .admission(problem) }
    try connection.run(
      """
      INSERT INTO devices (key, next_key, device_id, status, admitted_by, admitted_at, last_seen)
      VALUES (?, NULL, ?, 'active', ?, ?, ?)
      """, .blob(key), .text(id), .text(admitter.text), .integer(now), .integer(now))
    return Admission(
      device: DeviceRecord(
        key: key, nextKey: nil, id: id, status: .active, admittedBy: admitter, admittedAt: now, lastSeen: now),
      isNew: true)
  }

  /// As `admit`, by the invite of this hash, of which it takes one use; both or neither happen. A device that is in
  /// already takes none, so that it can ask again when the answer was lost, even by an invite of a single use.
  ///
  /// Throws `admission` or `invite`. Who has no good invite is not told which device IDs are taken.
  @discardableResult
  public func admit(
    key: [UInt8], id: String, redeeming tokenHash: [UInt8], at now: Int64
  ) throws(StoreError) -> Admission {
    if let known = try knownDevice(key: key, id: id) { return Admission(device: known, isNew: false) }
    return try connection.atomically { () throws(StoreError) in
      let invite = try redeem(tokenHash, forDevice: id, at: now)
      return try admit(key: key, id: id, by: .invite(invite.id), at: now)
    }
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
    let holders = try devices(
      where: "status = 'active' AND \(SQLiteSchema.label) = ?1 ORDER BY device_id", .text(HostLabel.label(of: id)))
    if let same = holders.first(where: { $0.id == id }) { return .idTaken(by: same.key) }
    return holders.first.map { .labelTaken(by: $0.id) }
  }

  /// Active devices whose IDs make one host name, from before that was refused; the first of them, at most 100.
  public func labelClashes() throws(StoreError) -> [[String]] {
    let labels = try connection.rows(
      """
      SELECT \(SQLiteSchema.label) FROM devices WHERE status = 'active' AND ?1 GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
      LIMIT 100
      """, .integer(1)
    ) { row in row.text(0) }
    return try labels.map { label throws(StoreError) in
      try devices(where: "status = 'active' AND \(SQLiteSchema.label) = ?1 ORDER BY device_id", .text(label)).map(\.id)
    }
  }

  // MARK: Being in

  /// Notes that the device of `key` was there at `time`, and used its lease. Nothing happens if there is none. An earlier time
  /// than the one that is there counts too: the clock was wrong then.
  public func touch(key: [UInt8], at time: Int64) throws(StoreError) {
    try connection.run(
      "UPDATE devices SET last_seen = ?2 WHERE key = ?1 OR next_key = ?1", .blob(key),
      .integer(time))
    try touchLease(ofKey: key, at: time)
  }

  /// The first phase of a change of keys: from now on the device of `key` may join with `next` as well, until
  /// `promoteNextKey`. Another next key that it had is no longer good; `nil` calls the change off.
  ///
  /// Throws `noSuchDevice`, or `admission`: the device is revoked, or `next` is a key already.
  public func setNextKey(_ next: [UInt8]?, ofKey key: [UInt8]) throws(StoreError) {
    guard let match = try device(key: key), match.key == .current else { throw .noSuchDevice }
    guard match.device.status == .active else { throw .admission(.revoked(match.device.id)) }
    if let next, next != match.device.nextKey, let holder = try device(key: next)?.device {
      throw .admission(.keyBound(to: holder.id))
    }
    try connection.run("UPDATE devices SET next_key = ?2 WHERE key = ?1", .blob(key), .optional(next))
  }

  /// The second phase: the device has joined with `next`, which becomes its only key. Nothing happens if it is already.
  ///
  /// Throws `noSuchDevice`, or `admission`: the device is revoked.
  @discardableResult
  public func promoteNextKey(_ next: [UInt8]) throws(StoreError) -> DeviceRecord {
    guard let match = try device(key: next) else { throw .noSuchDevice }
    guard match.device.status == .active else { throw .admission(.revoked(match.device.id)) }
    guard match.key == .next else { return match.device }
    try connection.run("UPDATE devices SET key = next_key, next_key = NULL WHERE next_key = ?", .blob(next))
    guard let device = try device(key: next)?.device else { throw .noSuchDevice }
    return device
  }

  // MARK: Going

  /// Undoes the admission of the device with this key and ID: deletes the device and its lease, and gives its invite
  /// the use back. Nothing happens if there is no such active device, or an operator has approved it.
  public func undoAdmission(key: [UInt8], id: String) throws(StoreError) {
    guard let device = try device(key: key)?.device, device.id == id, device.status == .active,
      device.admittedBy != .approved
    else { return }
    try dropLease(ofKey: device.key)
    try connection.run("DELETE FROM devices WHERE key = ?", .blob(device.key))
    if case .invite(let invite) = device.admittedBy { try returnUse(ofInvite: invite) }
  }

  /// Refuses the device of this ID for good, by all its keys; its ID is free for another key, and its address for anybody.
  /// Nothing happens if it is revoked already.
  ///
  /// Throws `noSuchDevice`.
  @discardableResult
  public func revoke(id: String) throws(StoreError) -> DeviceRecord {
    guard let device = try device(id: id) else { throw .noSuchDevice }
    return try revoke(key: device.key)
  }

  /// As `revoke(id:)`, of the device that has this key.
  @discardableResult
  public func revoke(key: [UInt8]) throws(StoreError) -> DeviceRecord {
    guard let known = try device(key: key)?.device else { throw .noSuchDevice }
    guard known.status == .active else { return known }
    try dropLease(ofKey: known.key)
    try connection.run("UPDATE devices SET status = 'revoked' WHERE key = ?", .blob(known.key))
    guard let device = try device(key: known.key)?.device else { throw .noSuchDevice }
    return device
  }

  /// Forgets that there was a device of this ID, so that its key is as good as any again, and its address free. While the ID has an active
  /// device, only that one is forgotten: those that had the ID before and were revoked stay refused.
  ///
  /// Returns what is forgotten. Throws `noSuchDevice`.
  @discardableResult
  public func forget(id: String) throws(StoreError) -> [DeviceRecord] {
    let all = try devices(where: "device_id = ?1", .text(id))
    let active = all.filter { $0.status == .active }
    let forgotten = active.isEmpty ? all : active
    if forgotten.isEmpty { throw .noSuchDevice }
    for device in forgotten { try forget(key: device.key) }
    return forgotten
  }

  /// Deletes the device with this key. Throws `noSuchDevice`.
  @discardableResult
  public func forget(key: [UInt8]) throws(StoreError) -> DeviceRecord {
    guard let device = try device(key: key)?.device else { throw .noSuchDevice }
    try dropLease(ofKey: device.key)
    try connection.run("DELETE FROM devices WHERE key = ?", .blob(device.key))
    return device
  }
}
