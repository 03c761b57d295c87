// What a relay tells of its network, what a device sends to be admitted, and the relay's answers.

/// The addresses of a network, which a device compares with its host's other networks before it asks to be admitted.
public struct NetworkNotice: Codable, Sendable, Equatable {
  public var pool: IPv4Prefix
  /// The network's IPv6 addresses, one for each of the pool; absent: it has none.
  public var pool6: IPv6Prefix?

  public init(pool: IPv4Prefix, pool6: IPv6Prefix? = nil) {
    self.pool = pool
    self.pool6 = pool6
  }
}

public struct JoinRequest: Codable, Sendable, Equatable {
  public var deviceID: String
  /// Random and new in every process: the relay replaces a session of the same instance at once.
  public var instance: String
  /// The address that the device prefers: its last one, or the one in its configuration.
  public var address: IPv4Address?
  /// Whether the device refuses any other address.
  public var addressRequired: Bool?
  /// The token of an invite, which admits a device that the relay does not know yet.
  public var token: Token?
  /// The ciphers that the device has for sessions with its peers.
  public var ciphers: CipherList

  public init(
    deviceID: String, instance: String, address: IPv4Address? = nil, addressRequired: Bool? = nil, token: Token? = nil,
    ciphers: CipherList
  ) {
    self.deviceID = deviceID
    self.instance = instance
    self.address = address
    self.addressRequired = addressRequired
    self.token = token
    self.ciphers = ciphers
  }

  private enum CodingKeys: String, CodingKey {
    case instance, address, token, ciphers
    case deviceID = "device_id"
    case addressRequired = "address_required"
  }
}

public struct Welcome: Codable, Sendable, Equatable {
  /// The device's lease.
  public var address: IPv4Address
  /// The pool that the lease is from.
  public var pool: IPv4Prefix
  /// The network's IPv6 addresses, one for each of the pool; absent: it has none.
  public var pool6: IPv6Prefix?
  /// The relay host's own virtual address.
  public var relayAddress: IPv4Address
  /// After this silence, in milliseconds, either side sends an echo request; after three of them the other end is dead.
  public var keepalive: Int
  /// What `keepalive` may grow to, in milliseconds, while the connection carries no data; absent: it does not grow.
  public var idleKeepalive: Int?
  /// The source address of the device's connection as the relay sees it, without a port.
  public var outerAddress: String?
  /// The version of the relay's program. Show `shownRelayVersion` to people instead.
  public var relayVersion: String?

  public init(
    address: IPv4Address, pool: IPv4Prefix, pool6: IPv6Prefix? = nil, relayAddress: IPv4Address, keepalive: Int,
    idleKeepalive: Int? = nil, outerAddress: String? = nil, relayVersion: String? = nil
  ) {
    self.address = address
    self.pool = pool
    self.pool6 = pool6
    self.relayAddress = relayAddress
    self.keepalive = keepalive
    self.idleKeepalive = idleKeepalive
    self.outerAddress = outerAddress
    self.relayVersion = relayVersion
  }

  /// The network that the lease is from.
  public var network: NetworkNotice { NetworkNotice(pool: pool, pool6: pool6) }

  /// Whether a device can use it: a network of hosts, from /8 to /30, in which both addresses are hosts'.
  public var isPlausible: Bool {
    (8...30).contains(pool.length) && pool6?.isPool != false && pool.network.specialUse == nil
      && pool.broadcast.specialUse == nil && pool.isHost(address) && pool.isHost(relayAddress)
  }

  /// The relay's version if it looks like one: 1 to 32 visible ASCII characters.
  public var shownRelayVersion: String? { relayVersion.flatMap { $0.isVisibleASCII(atMost: 32) ? $0 : nil } }

  private enum CodingKeys: String, CodingKey {
    case address, pool, pool6
    case relayAddress = "relay_address"
    case keepalive = "keepalive_ms"
    case idleKeepalive = "idle_keepalive_ms"
    case outerAddress = "outer_address"
    case relayVersion = "relay_version"
  }

  /// Refuses keepalives that no device can use: a shorter one would spin a timer, a longer one would never find a dead
  /// peer.
  init(checking decoder: any Decoder) throws {
    try self.init(from: decoder)
    let range = 1...86_400_000
    for (value, key) in [(keepalive, CodingKeys.keepalive), (idleKeepalive ?? keepalive, .idleKeepalive)]
    where !range.contains(value) {
      throw DecodingError.dataCorrupted(.init(codingPath: [key], debugDescription: "not within \(range)"))
    }
  }
}

/// Why the relay does not admit a device, or ends a session.
public struct Refusal: Codable, Sendable, Equatable, Error {
  /// An unknown code is read as `other`.
  public enum Code: String, Codable, Sendable {
    case badRequest = "bad-request"
    case unsupportedVersion = "unsupported-version"
    case poolFull = "pool-full"
    case addressTaken = "address-taken"
    case deviceIDTaken = "device-id-taken"
    case keyInUse = "key-in-use"
    case keyBound = "key-bound"
    case inviteNeeded = "invite-needed"
    case inviteUnknown = "invite-unknown"
    case inviteUsedUp = "invite-used-up"
    case inviteExpired = "invite-expired"
    case inviteRevoked = "invite-revoked"
    case inviteForAnother = "invite-for-another"
    case tooManyAttempts = "too-many-attempts"
    case denied
    case revoked
    case busy
    case sessionReplaced = "session-replaced"
    case protocolError = "protocol-error"
    case silent
    case shuttingDown = "shutting-down"
    case other

    /// Whether it is worth trying again soon.
    public var isPassing: Bool {
      switch self {
      case .shuttingDown, .busy, .silent, .sessionReplaced, .tooManyAttempts: true
      default: false
      }
    }

    public init(from decoder: any Decoder) throws {
      self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .other
    }
  }

  public let code: Code
  /// For people: at most `maximumText` scalars, all harmless.
  public let text: String
  /// After how many milliseconds the relay will admit the device, at most a day; absent: the device may try at any
  /// time.
  public let retryAfter: Int?

  /// In Unicode scalars, each of which takes at most 6 bytes in JSON, so that a refusal always fits a handshake frame.
  public static let maximumText = 500
  /// A day, in milliseconds.
  public static let maximumRetryAfter = 86_400_000

  /// Cuts `text`, which may quote what the other end sent, and puts spaces in place of invisible characters, since it
  /// reaches terminals and logs.
  public init(_ code: Code, _ text: String, retryAfter: Int? = nil) {
    self.code = code
    self.retryAfter = retryAfter.map { min(max($0, 0), Self.maximumRetryAfter) }
    let start = String(String.UnicodeScalarView(text.unicodeScalars.prefix(Self.maximumText)))
    self.text = start.replacing(unless: \.isHarmless, with: " ")
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try container.decode(Code.self, forKey: .code), try container.decode(String.self, forKey: .text),
      retryAfter: try container.decodeIfPresent(Int.self, forKey: .retryAfter))
  }

  /// Whether it is worth trying again: the code says so, or the relay has said when.
  public var isPassing: Bool { code.isPassing || retryAfter != nil }

  private enum CodingKeys: String, CodingKey {
    case code, text
    case retryAfter = "retry_after_ms"
  }
}
