public import Wire

// Keys, invites and devices. Points in time (`_at`) are Unix seconds.

/// The answer to `key` and `rotate-key`.
public struct KeyReport: Codable, Sendable, Equatable {
  public enum Role: String, Codable, Sendable {
    case relay
    case device
  }

  public private(set) var version = JSONVersion()
  public var role: Role
  /// `nil` for a relay.
  public var deviceId: String?
  /// The public key, as it is written in configurations.
  public var key: String
  /// The key's fingerprint, for people to compare.
  public var fingerprint: String
  /// How many invites `rotate-key` with `forget_old` revoked, because they named the relay's old key.
  public var revokedInvites: Int?

  public init(role: Role, deviceId: String? = nil, key: String, fingerprint: String, revokedInvites: Int? = nil) {
    self.revokedInvites = revokedInvites
    self.role = role
    self.deviceId = deviceId
    self.key = key
    self.fingerprint = fingerprint
  }
}

/// The answer to `invite`.
public struct NewInviteReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// The line for mnedc-join. It is a secret, and only this answer has it.
  public var invite: String
  public var id: String
  public var uses: Int
  public var expiresAt: Int
  public var deviceId: String?
  /// The relay's addresses in the invite.
  public var servers: [String]

  public init(invite: String, id: String, uses: Int, expiresAt: Int, deviceId: String?, servers: [String]) {
    self.invite = invite
    self.id = id
    self.uses = uses
    self.expiresAt = expiresAt
    self.deviceId = deviceId
    self.servers = servers
  }
}

/// The answer to `invites`, and to `uninvite` with the revoked one.
public struct InvitesReport: Codable, Sendable, Equatable {
  public struct Invite: Codable, Sendable, Equatable {
    public var id: String
    public var state: InviteState
    public var usesLeft: Int
    public var usesTotal: Int
    public var createdAt: Int
    public var expiresAt: Int
    /// The only device ID that it admits; `nil` admits any.
    public var deviceId: String?

    public init(
      id: String, state: InviteState, usesLeft: Int, usesTotal: Int, createdAt: Int, expiresAt: Int, deviceId: String?
    ) {
      self.id = id
      self.state = state
      self.usesLeft = usesLeft
      self.usesTotal = usesTotal
      self.createdAt = createdAt
      self.expiresAt = expiresAt
      self.deviceId = deviceId
    }
  }

  public private(set) var version = JSONVersion()
  public var invites: [Invite]

  public init(_ invites: [Invite]) {
    self.invites = invites
  }
}

/// The answer to `pending`, and to `approve` and `deny` with the device in question.
public struct PendingReport: Codable, Sendable, Equatable {
  public struct Device: Codable, Sendable, Equatable {
    public var deviceId: String
    public var fingerprint: String
    /// Where the device connects from, as the relay sees it.
    public var outerAddress: String
    /// How long it has waited, in seconds.
    public var waiting: Double

    public init(deviceId: String, fingerprint: String, outerAddress: String, waiting: Double) {
      self.deviceId = deviceId
      self.fingerprint = fingerprint
      self.outerAddress = outerAddress
      self.waiting = waiting
    }
  }

  public private(set) var version = JSONVersion()
  public var devices: [Device]

  public init(_ devices: [Device]) {
    self.devices = devices
  }
}

/// The answer to `devices`, and to `revoke` and `forget` with the devices that these changed.
public struct DevicesReport: Codable, Sendable, Equatable {
  public enum Status: String, Codable, Sendable {
    case active
    /// Its keys are refused for good.
    case revoked
  }

  /// Why the relay admitted a device.
  public enum Admitter: String, Codable, Sendable {
    case open
    case approved
    /// It is the relay's own host.
    case host
    case invite
  }

  public struct Device: Codable, Sendable, Equatable {
    public var deviceId: String
    public var fingerprint: String
    public var status: Status
    public var admittedBy: Admitter
    /// The invite that the device came with.
    public var inviteId: String?
    public var admittedAt: Int
    /// When it last joined or left.
    public var lastSeenAt: Int
    public var online: Bool
    /// The virtual address, while it is connected.
    public var address: String?

    public init(
      deviceId: String, fingerprint: String, status: Status, admittedBy: Admitter, inviteId: String?, admittedAt: Int,
      lastSeenAt: Int, online: Bool, address: String?
    ) {
      self.deviceId = deviceId
      self.fingerprint = fingerprint
      self.status = status
      self.admittedBy = admittedBy
      self.inviteId = inviteId
      self.admittedAt = admittedAt
      self.lastSeenAt = lastSeenAt
      self.online = online
      self.address = address
    }
  }

  public private(set) var version = JSONVersion()
  public var devices: [Device]

  public init(_ devices: [Device]) {
    self.devices = devices
  }
}
