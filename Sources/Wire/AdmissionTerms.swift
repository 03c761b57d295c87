// Terms that the relay, its configuration and the answers to its operators share.

/// Which new devices may join a relay's network.
public enum AdmissionMode: String, CaseIterable, Sendable {
  /// Devices with an invite.
  case invite
  /// Devices with an invite, and devices that an operator approves.
  case approve
  /// All devices.
  case open
}

/// The IPv6 addresses of a relay's network.
public enum Pool6Choice: Hashable, Sendable {
  /// The relay makes a prefix at its first start, and keeps it.
  case auto
  case off
  case prefix(IPv6Prefix)
}

/// Whether an invite can be used.
public enum InviteState: String, Codable, Sendable {
  case usable
  case usedUp = "used-up"
  case expired
  case revoked
}

/// Why a device has its lease.
public enum LeaseKind: String, Codable, Sendable {
  /// The device keeps it until the device has been away for long and the pool is full.
  case leased
  /// An operator has pinned it.
  case pinned
  /// The configuration gives it to the device.
  case fixed
  /// The address is outside the pool, or the configuration gives the device another one: the device gets another
  /// address when it joins.
  case outside
}
