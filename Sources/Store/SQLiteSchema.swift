/// The tables, as a list of migrations from an empty file. The file's `user_version` is the number of those that were
/// applied.
struct SQLiteSchema {
  let migrations: [String]

  /// Marks a file as ours in its header: "MNED".
  static let applicationID: Int64 = 0x4D4E_4544

  /// A released migration never changes; a new table or index is a further one.
  static let current = SQLiteSchema(migrations: [devicesAndInvites, leases, labels])

  var version: Int { migrations.count }

  // Checks instead of STRICT, which only SQLite 3.37 and newer have.
  private static let devicesAndInvites = """
    CREATE TABLE devices (
      key BLOB NOT NULL PRIMARY KEY CHECK (typeof(key) = 'blob' AND length(key) = 32),
      next_key BLOB UNIQUE CHECK (next_key IS NULL OR (typeof(next_key) = 'blob' AND length(next_key) = 32)),
      device_id TEXT NOT NULL CHECK (device_id <> ''),
      status TEXT NOT NULL CHECK (status IN ('active', 'revoked')),
      admitted_by TEXT NOT NULL,
      admitted_at INTEGER NOT NULL,
      last_seen INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX devices_by_id ON devices (device_id);
    -- A revoked device keeps its row, so that its keys stay refused, but not its device ID.
    CREATE UNIQUE INDEX one_active_device_per_id ON devices (device_id) WHERE status = 'active';

    CREATE TABLE invites (
      id TEXT NOT NULL PRIMARY KEY,
      token_hash BLOB NOT NULL UNIQUE CHECK (typeof(token_hash) = 'blob' AND length(token_hash) = 32),
      uses_left INTEGER NOT NULL CHECK (uses_left BETWEEN 0 AND uses_total),
      uses_total INTEGER NOT NULL CHECK (uses_total > 0),
      created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      device_id TEXT CHECK (device_id <> ''),
      revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),
      -- When it was used up or revoked.
      ended_at INTEGER
    ) WITHOUT ROWID;
    """

  private static let leases = """
    CREATE TABLE leases (
      -- In the host's byte order, so that neighbours are neighbours here too.
      address INTEGER NOT NULL PRIMARY KEY CHECK (address BETWEEN 0 AND 4294967295),
      -- The device's present one: a change of keys takes the lease along.
      key BLOB NOT NULL UNIQUE REFERENCES devices (key) ON UPDATE CASCADE ON DELETE CASCADE,
      pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
      last_used INTEGER NOT NULL
    );
    CREATE INDEX leases_by_use ON leases (last_used, address) WHERE pinned = 0;

    -- What the leases are from: one row, none before the relay has begun for the first time.
    CREATE TABLE network (
      id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
      pool TEXT NOT NULL,
      relay_address INTEGER NOT NULL CHECK (relay_address BETWEEN 0 AND 4294967295),
      -- What the relay has made up itself; kept while the configuration says otherwise.
      own_pool TEXT,
      own_pool6 TEXT
    );
    """

  /// `HostLabel.label` of a device ID in SQL. Index and queries must use the same expression.
  static let label = "lower(replace(replace(device_id, '.', '-'), '_', '-'))"

  // Not unique, because older files may have devices with the same label.
  private static let labels = """
    CREATE INDEX devices_by_label ON devices (\(label)) WHERE status = 'active';
    """
}
