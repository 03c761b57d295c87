// What a relay says about the others, and both about their keys.

public struct Peer: Codable, Sendable, Equatable {
  public var address: IPv4Address
  public var deviceID: String
  /// The key that the device proved to the relay.
  public var key: PublicKey
  public var ciphers: CipherList

  public init(address: IPv4Address, deviceID: String, key: PublicKey, ciphers: CipherList) {
    self.address = address
    self.deviceID = deviceID
    self.key = key
    self.ciphers = ciphers
  }
}

public struct PeerUpdate: Codable, Sendable, Equatable {
  /// The revision that this leads to.
  public var revision: Int
  /// The revision that it builds on; absent: forget what was known, this is everything (or the first part of it).
  public var since: Int?
  public var joined: [Peer]
  public var left: [IPv4Address]
  /// Those of `left` whose devices the relay's operator has sent away: sessions with them are not to be kept for their return.
  public var dismissed: [IPv4Address]?
  /// Whether another part of the same follows, and this one means nothing without it; absent: no.
  public var more: Bool?
  /// Whether the network is so large that the relay tells only of peers that the device has asked for (`locate`); of a message
  /// without `since`. Absent: it tells of all.
  public var partial: Bool?

  public init(
    revision: Int, since: Int?, joined: [Peer], left: [IPv4Address] = [], dismissed: [IPv4Address]? = nil,
    more: Bool? = nil, partial: Bool? = nil
  ) {
    self.partial = partial
    self.dismissed = dismissed
    self.more = more
    self.revision = revision
    self.since = since
    self.joined = joined
    self.left = left
  }

  /// As many of each as surely fit one message together, whatever the IDs.
  public static let maximumPeers = 250
  public static let maximumLeft = 1000
}

/// Who is asked for: by address, or by the label of the device ID.
public enum Sought: Codable, Sendable, Hashable {
  case address(IPv4Address)
  /// As `HostLabel` makes it.
  case label(String)

  private enum CodingKeys: String, CodingKey { case address, label }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    guard let label = try container.decodeIfPresent(String.self, forKey: .label) else {
      self = .address(try container.decode(IPv4Address.self, forKey: .address))
      return
    }
    guard try container.decodeIfPresent(IPv4Address.self, forKey: .address) == nil, HostLabel.isValid(label) else {
      throw DecodingError.dataCorruptedError(
        forKey: .label, in: container, debugDescription: "a label alone, of a device ID")
    }
    self = .label(label)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .address(let address): try container.encode(address, forKey: .address)
    case .label(let label): try container.encode(label, forKey: .label)
    }
  }
}

public struct Locate: Codable, Sendable, Equatable {
  public var sought: Sought

  /// How many peers a device may watch, and ask for at once. If it asks for more, the relay stops telling it about the
  /// first.
  public static let maximumWatched = 1024

  public init(_ sought: Sought) { self.sought = sought }

  public init(address: IPv4Address) { self.init(.address(address)) }

  public init(from decoder: any Decoder) throws { sought = try Sought(from: decoder) }

  public func encode(to encoder: any Encoder) throws { try sought.encode(to: encoder) }
}

public struct Unreachable: Codable, Sendable, Equatable {
  public var sought: Sought

  public init(_ sought: Sought) { self.sought = sought }

  public init(address: IPv4Address) { self.init(.address(address)) }

  public init(from decoder: any Decoder) throws { sought = try Sought(from: decoder) }

  public func encode(to encoder: any Encoder) throws { try sought.encode(to: encoder) }

  /// `nil` if a label was asked for.
  public var address: IPv4Address? { if case .address(let address) = sought { address } else { nil } }
}

public struct KeyNotice: Codable, Sendable, Equatable {
  public var key: PublicKey

  public init(key: PublicKey) {
    self.key = key
  }
}

extension Peer {
  private enum CodingKeys: String, CodingKey {
    case address, key, ciphers
    case deviceID = "device_id"
  }
}
