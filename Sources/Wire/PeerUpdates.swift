// What a relay tells a device of the other devices, and both of their keys.

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

  private enum CodingKeys: String, CodingKey {
    case address, key, ciphers
    case deviceID = "device_id"
  }
}

public struct PeerUpdate: Codable, Sendable, Equatable {
  /// The revision after this update.
  public var revision: Int
  /// The revision before it; absent: this replaces everything known (or is the first part of what does).
  public var since: Int?
  public var joined: [Peer]
  public var left: [IPv4Address]
  /// Those of `left` that the relay's operator has removed: the device keeps no sessions for their return.
  public var dismissed: [IPv4Address]?
  /// Whether another part of the same update follows, without which this one is invalid; absent: no.
  public var more: Bool?
  /// In a message without `since`: whether the network is so large that the relay tells only of peers that the device
  /// has asked for (`locate`). Absent: the relay tells of all.
  public var partial: Bool?

  public init(
    revision: Int, since: Int?, joined: [Peer], left: [IPv4Address] = [], dismissed: [IPv4Address]? = nil,
    more: Bool? = nil, partial: Bool? = nil
  ) {
    self.revision = revision
    self.since = since
    self.joined = joined
    self.left = left
    self.dismissed = dismissed
    self.more = more
    self.partial = partial
  }

  /// As many of each as fit one message together, whatever the IDs.
  public static let maximumPeers = 250
  public static let maximumLeft = 1000
}

/// A peer encoded once for all the updates that contain it: when a thousand devices join, each is told of all others.
public struct EncodedPeer: Sendable {
  fileprivate let json: [UInt8]

  public init(_ peer: Peer) {
    json = JSON.encode(peer)
  }
}

extension PeerUpdate {
  /// The frame of an update, with the same bytes as `ControlMessage.peers` would have.
  public static func frame(
    revision: Int, since: Int?, joined: some Collection<EncodedPeer>, left: [IPv4Address] = [],
    dismissed: [IPv4Address] = [], more: Bool? = nil, partial: Bool? = nil
  ) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.reserveCapacity(
      FrameHeader.size + 128 + joined.reduce(0) { $0 + $1.json.count + 1 } + 18 * (left.count + dismissed.count))
    frame += #"{"#.utf8
    if !dismissed.isEmpty { frame += #""dismissed":[\#(list(dismissed))],"#.utf8 }
    frame += #""joined":["#.utf8
    var isFirst = true
    for peer in joined {
      if !isFirst { frame.append(UInt8(ascii: ",")) }
      isFirst = false
      frame += peer.json
    }
    frame += #"],"left":[\#(list(left))],"#.utf8
    if let more { frame += #""more":\#(more),"#.utf8 }
    if let partial { frame += #""partial":\#(partial),"#.utf8 }
    frame += #""revision":\#(revision),"#.utf8
    if let since { frame += #""since":\#(since),"#.utf8 }
    frame += #""type":"peers"}"#.utf8
    let length = frame.count - FrameHeader.size
    frame.withUnsafeMutableBytes { FrameHeader(type: .control, length: length).write(to: $0) }
    return frame
  }

  private static func list(_ addresses: [IPv4Address]) -> String {
    addresses.map { #""\#($0)""# }.joined(separator: ",")
  }
}

/// Which device is meant: by its address, or by the label of its ID.
public enum Sought: Codable, Sendable, Hashable {
  case address(IPv4Address)
  /// As `HostLabel` makes it.
  case label(String)

  /// How many peers a device may watch, and ask for at once. If it asks for more, the relay stops telling it of the
  /// first.
  public static let maximumWatched = 1024

  /// `nil` if a label is meant.
  public var address: IPv4Address? { if case .address(let address) = self { address } else { nil } }

  private enum CodingKeys: String, CodingKey { case address, label }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    guard let label = try container.decodeIfPresent(String.self, forKey: .label) else {
      self = .address(try container.decode(IPv4Address.self, forKey: .address))
      return
    }
    guard try container.decodeIfPresent(IPv4Address.self, forKey: .address) == nil else {
      throw WireError.badMessage("has both address and label")
    }
    guard HostLabel.isValid(label) else {
      throw DecodingError.dataCorruptedError(
        forKey: .label, in: container, debugDescription: "label is none of a device ID")
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

public struct KeyNotice: Codable, Sendable, Equatable {
  public var key: PublicKey

  public init(key: PublicKey) {
    self.key = key
  }
}

/// A device's question which keys belong to devices of the network, and the relay's answer.
public struct Standing: Codable, Sendable, Equatable {
  public var keys: [PublicKey]
  /// Those of active devices; absent in the question.
  public var known: [PublicKey]?

  /// How many keys a question may have.
  public static let maximumKeys = 64

  public init(keys: [PublicKey], known: [PublicKey]? = nil) {
    self.keys = keys
    self.known = known
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    keys = try container.decode([PublicKey].self, forKey: .keys)
    known = try container.decodeIfPresent([PublicKey].self, forKey: .known)
    guard keys.count <= Self.maximumKeys, known?.count ?? 0 <= Self.maximumKeys else {
      throw DecodingError.dataCorruptedError(
        forKey: .keys, in: container, debugDescription: "more than \(Self.maximumKeys) keys")
    }
  }
}
