internal import Wire

/// The records in an SQLite file, within the open transaction of the store's thread.
struct SQLiteRecords: NetworkRecords {
  let connection: SQLiteConnection

  // MARK: Devices

  func device(key: [UInt8]) throws(StoreError) -> DeviceMatch? {
    // No two devices share a key.
    let device = try devices(where: "key = ?1 OR next_key = ?1", .blob(key)).first
    return device.map { DeviceMatch(device: $0, key: $0.key == key ? .current : .next) }
  }

  func devices() throws(StoreError) -> [DeviceRecord] {
    try devices(where: "?1 ORDER BY device_id, status, admitted_at DESC", .integer(1))
  }

  func devices(id: String) throws(StoreError) -> [DeviceRecord] {
    try devices(where: "device_id = ?1 ORDER BY status, admitted_at DESC", .text(id))
  }

  func activeDevices(label: String) throws(StoreError) -> [DeviceRecord] {
    try devices(where: "status = 'active' AND \(SQLiteSchema.label) = ?1 ORDER BY device_id", .text(label))
  }

  private func devices(where condition: String, _ value: SQLValue) throws(StoreError) -> [DeviceRecord] {
    try connection.rows(
      """
      SELECT key, next_key, device_id, status, admitted_by, admitted_at, last_seen FROM devices WHERE \(condition)
      """, value
    ) { row in
      DeviceRecord(
        key: row.blob(0), nextKey: row.optionalBlob(1), id: row.text(2),
        // An unknown status means refused.
        status: DeviceRecord.Status(rawValue: row.text(3)) ?? .revoked,
        admittedBy: DeviceRecord.AdmissionMethod(text: row.text(4)), admittedAt: row.integer(5),
        lastSeen: row.integer(6))
    }
  }

  // MARK: Invites

  func invites() throws(StoreError) -> [InviteRecord] {
    try invites(where: "?1 ORDER BY created_at, id", .integer(1))
  }

  func invite(tokenHash: [UInt8]) throws(StoreError) -> InviteRecord? {
    try invites(where: "token_hash = ?1", .blob(tokenHash)).first
  }

  private func invites(where condition: String, _ value: SQLValue) throws(StoreError) -> [InviteRecord] {
    try connection.rows(
      """
      SELECT id, token_hash, uses_left, uses_total, created_at, expires_at, device_id, revoked, ended_at FROM invites
      WHERE \(condition)
      """, value
    ) { row in
      InviteRecord(
        id: row.text(0), tokenHash: row.blob(1), usesLeft: Int(row.integer(2)), usesTotal: Int(row.integer(3)),
        createdAt: row.integer(4), expiresAt: row.integer(5), deviceID: row.optionalText(6),
        isRevoked: row.integer(7) != 0, endedAt: row.optionalInteger(8))
    }
  }

  // MARK: Leases

  func network() throws(StoreError) -> NetworkRecord? {
    let found = try connection.rows("SELECT pool, relay_address, own_pool, own_pool6 FROM network") { row in
      (
        pool: IPv4Prefix(row.text(0)), relayAddress: row.address(1), ownPool: row.optionalText(2),
        ownPool6: row.optionalText(3)
      )
    }.first
    guard let found else { return nil }
    let (ownPool, ownPool6) = (found.ownPool.map { IPv4Prefix($0) }, found.ownPool6.map { IPv6Prefix($0) })
    // The file is sound, so only this program wrote the text.
    guard let pool = found.pool, ownPool != .some(nil), ownPool6 != .some(nil) else {
      throw .damaged(connection.path, detail: "its network makes no sense")
    }
    return NetworkRecord(
      pool: pool, relayAddress: found.relayAddress, ownPool: ownPool ?? nil, ownPool6: ownPool6 ?? nil)
  }

  func leases() throws(StoreError) -> [LeaseRecord] {
    try leases("?1 ORDER BY address", .integer(1))
  }

  func lease(ofKey key: [UInt8]) throws(StoreError) -> LeaseRecord? {
    try leases("leases.key = ?1", .blob(key)).first
  }

  func lease(at address: IPv4Address) throws(StoreError) -> LeaseRecord? {
    try leases("address = ?1", .address(address)).first
  }

  private func leases(_ condition: String, _ values: SQLValue...) throws(StoreError) -> [LeaseRecord] {
    try connection.rows(
      """
      SELECT address, key, device_id, pinned, leases.last_used FROM leases JOIN devices USING (key) WHERE \(condition)
      """, values
    ) { row in
      LeaseRecord(
        address: row.address(0), key: row.blob(1), deviceID: row.text(2), isPinned: row.integer(3) != 0,
        lastUsed: row.integer(4))
    }
  }

  /// The search begins where the last one ended, so its time does not grow with the pool.
  func freeAddress(in pool: LeasePool) throws(StoreError) -> IPv4Address? {
    while let address = pool.nextFreelyLeasable(from: connection.freeSearch.start(in: pool.prefix)) {
      if try lease(at: address) == nil {
        connection.freeSearch.begin(at: Int64(address.bits), in: pool.prefix)
        return address
      }
      // The last of the leased addresses that follow each other from here.
      let end = try connection.rows(
        """
        SELECT address FROM leases AS last WHERE address >= ?1
        AND NOT EXISTS (SELECT 1 FROM leases WHERE address = last.address + 1)
        ORDER BY address LIMIT 1
        """, .address(address)
      ) { $0.integer(0) }.first
      connection.freeSearch.begin(at: (end ?? Int64(address.bits)) + 1, in: pool.prefix)
    }
    connection.freeSearch.begin(at: Int64(pool.prefix.broadcast.bits), in: pool.prefix)
    return nil
  }

  func leasesUnused(
    since time: Int64, in prefix: IPv4Prefix, after previous: LeaseRecord?, limit: Int
  ) throws(StoreError) -> [LeaseRecord] {
    try leases(
      """
      pinned = 0 AND leases.last_used <= ?1 AND address BETWEEN ?2 AND ?3 AND (leases.last_used, address) > (?4, ?5)
      ORDER BY leases.last_used, address LIMIT ?6
      """, .integer(time), .address(prefix.network), .address(prefix.broadcast), .integer(previous?.lastUsed ?? .min),
      .integer(previous.map { Int64($0.address.bits) } ?? -1), .integer(Int64(limit)))
  }

  func newestUse() throws(StoreError) -> Int64? {
    try connection.rows(
      """
      SELECT last_used FROM leases UNION ALL SELECT last_seen FROM devices UNION ALL SELECT admitted_at FROM devices
      ORDER BY 1 DESC LIMIT 1
      """
    ) { $0.integer(0) }.first
  }

  // MARK: Changing

  /// Applies all changes or, if one throws, none.
  func apply(_ changes: [RecordChange]) throws(StoreError) {
    try connection.atomically { () throws(StoreError) in
      for change in changes { try apply(change) }
    }
    for address in changes.freedAddresses { connection.freeSearch.note(address) }
  }

  private func apply(_ change: RecordChange) throws(StoreError) {
    switch change {
    case .putDevice(let device):
      try connection.run(
        """
        INSERT INTO devices (key, next_key, device_id, status, admitted_by, admitted_at, last_seen)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (key) DO UPDATE SET next_key = ?2, device_id = ?3, status = ?4,
        admitted_by = ?5, admitted_at = ?6, last_seen = ?7
        """, .blob(device.key), .optional(device.nextKey), .text(device.id), .text(device.status.rawValue),
        .text(device.admittedBy.text), .integer(device.admittedAt), .integer(device.lastSeen))
    case .removeDevice(let key):
      try connection.run("DELETE FROM devices WHERE key = ?", .blob(key))
    case .putLease(let lease):
      try connection.run(
        """
        INSERT INTO leases (address, key, pinned, last_used) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (key) DO UPDATE SET address = ?1, pinned = ?3, last_used = ?4
        """, .address(lease.address), .blob(lease.key), .integer(lease.isPinned ? 1 : 0), .integer(lease.lastUsed))
    case .removeLease(let address):
      try connection.run("DELETE FROM leases WHERE address = ?", .address(address))
    case .putInvite(let invite):
      try connection.run(
        """
        INSERT INTO invites
        (id, token_hash, uses_left, uses_total, created_at, expires_at, device_id, revoked, ended_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (id) DO UPDATE SET uses_left = ?3, revoked = ?8, ended_at = ?9
        """, .text(invite.id), .blob(invite.tokenHash), .integer(Int64(invite.usesLeft)),
        .integer(Int64(invite.usesTotal)), .integer(invite.createdAt), .integer(invite.expiresAt),
        .optional(invite.deviceID), .integer(invite.isRevoked ? 1 : 0), .optional(invite.endedAt))
    case .removeInvite(let id):
      try connection.run("DELETE FROM invites WHERE id = ?", .text(id))
    case .putNetwork(let network):
      try connection.run(
        "INSERT OR REPLACE INTO network (id, pool, relay_address, own_pool, own_pool6) VALUES (1, ?, ?, ?, ?)",
        .text(network.pool.description), .address(network.relayAddress), .optional(network.ownPool?.description),
        .optional(network.ownPool6?.description))
    case .seen(let key, let time):
      try connection.run(
        "UPDATE devices SET last_seen = ?2 WHERE key = ?1 OR next_key = ?1", .blob(key), .integer(time))
      try connection.run(
        """
        UPDATE leases SET last_used = ?2
        WHERE key = (SELECT key FROM devices WHERE key = ?1 OR next_key = ?1) AND last_used <> ?2
        """, .blob(key), .integer(time))
    }
  }
}

extension SQLValue {
  fileprivate static func address(_ address: IPv4Address) -> SQLValue { .integer(Int64(address.bits)) }
}

extension SQLiteRow {
  /// A column that the schema keeps within 32 bits.
  fileprivate func address(_ column: CInt) -> IPv4Address {
    IPv4Address(bits: UInt32(truncatingIfNeeded: integer(column)))
  }
}
