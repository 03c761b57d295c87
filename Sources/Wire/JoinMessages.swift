// What a relay says of its network, what a device says to be let in, and what it is answered.

/// The addresses of a network, which a device compares with its host's other networks before it asks to be let in.
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
  /// Random and new in every process: a session of the same instance is replaced without asking whether it lives.
  public var instance: String
  /// The address that the device would like, because it had it before or its config says so.
  public var address: IPv4Address?
  /// Whether another address will not do.
  public var addressRequired: Bool?
  /// The invite's, by which a device that the relay does not know yet is let in.
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
}

public struct Welcome: Codable, Sendable, Equatable {
  /// The device's lease.
  public var address: IPv4Address
  /// The pool that it is from.
  public var pool: IPv4Prefix
  /// The network's IPv6 addresses, one for each of the pool; absent: it has none.
  public var pool6: IPv6Prefix?
  /// The relay host's own virtual address.
  public var relayAddress: IPv4Address
  /// After this silence, in milliseconds, either side asks for an echo; after three of them the other is dead.
  public var keepalive: Int
  /// What `keepalive` may grow to, in milliseconds, while no data goes either way; absent: it stays as it is.
  public var idleKeepalive: Int?
  /// The address, without a port, that the relay sees the device's connection come from.
  public var outerAddress: String?
  /// The version of the relay's program, for people; `shownRelayVersion` is fit to be shown.
  public var relayVersion: String?

  public init(
    address: IPv4Address, pool: IPv4Prefix, pool6: IPv6Prefix? = nil, relayAddress: IPv4Address, keepalive: Int,
    idleKeepalive: Int? = nil, outerAddress: String? = nil, relayVersion: String? = nil
  ) {
    self.outerAddress = outerAddress
    self.relayVersion = relayVersion
    self.address = address
    self.pool = pool
    self.pool6 = pool6
    self.relayAddress = relayAddress
    self.keepalive = keepalive
    self.idleKeepalive = idleKeepalive
  }
}

extension JoinRequest {
  private enum CodingKeys: String, CodingKey {
    case instance, address, token, ciphers
    case deviceID = "device_id"
    case addressRequired = "address_required"
  }
}

extension Welcome {
  /// Whether a device can do with it: a network of hosts, from /8 to /30, with both addresses in it, neither of them the
  /// network's own or its broadcast address.
  public var isPlausible: Bool {
    (8...30).contains(pool.length) && pool6?.isPool != false && pool.network.specialUse == nil
      && pool.broadcast.specialUse == nil
      && pool.isHost(address) && pool.isHost(relayAddress)
  }
}

extension Welcome {
  /// The network that the lease is from.
  public var network: NetworkNotice { NetworkNotice(pool: pool, pool6: pool6) }

  /// The relay's version if it looks like one: 1 to 32 visible ASCII characters.
  public var shownRelayVersion: String? {
    relayVersion.flatMap {
      (1...32).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x21...0x7E).contains($0) } ? $0 : nil
    }
  }
}

extension Welcome {
  private enum CodingKeys: String, CodingKey {
    case address, pool, pool6
    case relayAddress = "relay_address"
    case keepalive = "keepalive_ms"
    case idleKeepalive = "idle_keepalive_ms"
    case outerAddress = "outer_address"
    case relayVersion = "relay_version"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    address = try container.decode(IPv4Address.self, forKey: .address)
    pool = try container.decode(IPv4Prefix.self, forKey: .pool)
    pool6 = try container.decodeIfPresent(IPv6Prefix.self, forKey: .pool6)
    relayAddress = try container.decode(IPv4Address.self, forKey: .relayAddress)
    keepalive = try container.decode(Int.self, forKey: .keepalive)
    idleKeepalive = try container.decodeIfPresent(Int.self, forKey: .idleKeepalive)
    outerAddress = try container.decodeIfPresent(String.self, forKey: .outerAddress)
    relayVersion = try container.decodeIfPresent(String.self, forKey: .relayVersion)
    for (value, key) in [(keepalive, CodingKeys.keepalive), (idleKeepalive ?? keepalive, .idleKeepalive)]
    where !Self.keepaliveRange.contains(value) {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: container, debugDescription: "not within \(Self.keepaliveRange)")
    }
  }

  /// What `keepalive` may be: less would spin a timer, more would never find a dead peer.
  private static let keepaliveRange = 1...86_400_000
}
