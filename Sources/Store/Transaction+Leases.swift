public import Wire

// Keys are 32 bytes, times are Unix seconds. A device has one lease at most, and an address one device; which addresses may
// be leased at all is the pool's to say, which these take as given unless they are told the pool.
extension Transaction {
  // MARK: The network

  /// `nil` before it was set for the first time.
  public func network() throws(StoreError) -> NetworkRecord? {
    let found = try connection.rows("SELECT pool, relay_address, own_pool, own_pool6 FROM network") { row in
      (
        pool: IPv4Prefix(row.text(0)), relayAddress: row.address(1), ownPool: row.optionalText(2),
        ownPool6: row.optionalText(3)
      )
    }.first
    guard let found else { return nil }
    let (ownPool, ownPool6) = (found.ownPool.map { IPv4Prefix($0) }, found.ownPool6.map { IPv6Prefix($0) })
    // Sound as the file is, nothing else than this program's text should be there.
    guard let pool = found.pool, ownPool != .some(nil), ownPool6 != .some(nil) else {
      throw .damaged(connection.path, detail: "its network makes no sense")
    }
    return NetworkRecord(
      pool: pool, relayAddress: found.relayAddress, ownPool: ownPool ?? nil, ownPool6: ownPool6 ?? nil)
  }

  /// Leases that are not of its pool stay as they are.
  public func setNetwork(_ network: NetworkRecord) throws(StoreError) {
    try connection.run(
      "INSERT OR REPLACE INTO network (id, pool, relay_address, own_pool, own_pool6) VALUES (1, ?, ?, ?, ?)",
      .text(network.pool.description), .address(network.relayAddress), .optional(network.ownPool?.description),
      .optional(network.ownPool6?.description))
  }

  // MARK: Who has what

  /// All leases by address, those outside the present pool too.
  public func leases() throws(StoreError) -> [LeaseRecord] {
    try leases("?1 ORDER BY address", .integer(1))
  }

  /// The lease of the device with this key, its present one.
  public func lease(ofKey key: [UInt8]) throws(StoreError) -> LeaseRecord? {
    try leases("leases.key = ?1", .blob(key)).first
  }

  public func lease(at address: IPv4Address) throws(StoreError) -> LeaseRecord? {
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

  // MARK: Giving and taking

  /// The lowest address that nobody has a lease of or a claim to. However large the pool is, the search begins where the
  /// last one has ended.
  public func freeAddress(in pool: LeasePool) throws(StoreError) -> IPv4Address? {
    while let address = pool.nextFreelyLeasable(from: connection.freeSearch.start(in: pool.prefix)) {
      if try lease(at: address) == nil {
        connection.freeSearch.begin(at: Int64(address.bits), in: pool.prefix)
        return address
      }
      // Where the addresses from this one on that are leased without a gap come to their end.
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

  /// Gives `address`, which nobody has, to the device with this key, in place of the one that it had; a pin goes along.
  ///
  /// Throws `badValue`: somebody has it, or there is no such device.
  public func lease(_ address: IPv4Address, toKey key: [UInt8], at now: Int64) throws(StoreError) {
    if let former = try lease(ofKey: key) { connection.freeSearch.note(former.address) }
    try connection.run(
      """
      INSERT INTO leases (address, key, pinned, last_used) VALUES (?1, ?2, 0, ?3)
      ON CONFLICT (key) DO UPDATE SET address = ?1, last_used = ?3
      """, .address(address), .blob(key), .integer(now))
  }

  /// Sees to it that a lease is not reclaimed, or that it is as any other.
  public func pinLease(at address: IPv4Address, _ isPinned: Bool) throws(StoreError) {
    try connection.run(
      "UPDATE leases SET pinned = ?2 WHERE address = ?1", .address(address), .integer(isPinned ? 1 : 0))
  }

  /// Takes a lease's address away, which is another device's next: a search for a free one need not come back to it.
  public func reclaimLease(at address: IPv4Address) throws(StoreError) {
    try connection.run("DELETE FROM leases WHERE address = ?", .address(address))
  }

  /// Frees an address, if somebody has it.
  public func dropLease(at address: IPv4Address) throws(StoreError) {
    connection.freeSearch.note(address)
    try connection.run("DELETE FROM leases WHERE address = ?", .address(address))
  }

  func dropLease(ofKey key: [UInt8]) throws(StoreError) {
    if let lease = try lease(ofKey: key) { try dropLease(at: lease.address) }
  }

  // MARK: Use

  /// Notes that the device with this key used its lease at `time`, if it has one.
  public func touchLease(ofKey key: [UInt8], at time: Int64) throws(StoreError) {
    try connection.run(
      """
      UPDATE leases SET last_used = ?2
      WHERE key = (SELECT key FROM devices WHERE key = ?1 OR next_key = ?1) AND last_used <> ?2
      """, .blob(key), .integer(time))
  }

  /// The newest time in the records of admissions, devices and leases, in Unix seconds; `nil` if there is no record.
  public func newestUse() throws(StoreError) -> Int64? {
    let times = try connection.rows(
      """
      SELECT last_used FROM leases UNION ALL SELECT last_seen FROM devices UNION ALL SELECT admitted_at FROM devices
      ORDER BY 1 DESC LIMIT 1
      """
    ) { $0.integer(0) }
    return times.first
  }

  /// Leases in `prefix` that are not pinned and were last used at `time` or before, the one unused for longest first: at
  /// most `limit` of them, from behind `previous` on.
  public func leasesUnused(
    since time: Int64, in prefix: IPv4Prefix, after previous: LeaseRecord?, limit: Int
  ) throws(StoreError) -> [LeaseRecord] {
    try leases(
      """
      pinned = 0 AND leases.last_used <= ?1 AND address BETWEEN ?2 AND ?3 AND (leases.last_used, address) > (?4, ?5)
      ORDER BY leases.last_used, address LIMIT ?6
      """, .integer(time), .address(prefix.network), .address(prefix.broadcast), .integer(previous?.lastUsed ?? .min),
      .integer(previous.map { Int64($0.address.bits) } ?? -1), .integer(Int64(limit)))
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
