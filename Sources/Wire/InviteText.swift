/// All that a device needs to join a network for the first time, as one line to paste: `mnedc-invite:` and, in
/// base64url,
///
///     | version 8 | relay key 256 | token 128 | count 8 | count × (length 8, server) | CRC-32 of all before it 32 |
///
/// in network byte order.
public struct InviteText: Equatable, Sendable, LosslessStringConvertible {
  /// The relay's public key, 32 bytes.
  public let relayKey: [UInt8]
  /// The secret by which the relay recognizes the invite, 16 bytes.
  public let token: [UInt8]
  /// 1 to 16 addresses of the relay, such as `relay.example:3334` or `[2001:db8::1]:3334`: visible ASCII of 1 to 255
  /// bytes each, whose meaning the reader checks.
  public let servers: [String]

  public static let version: UInt8 = 1
  public static let maximumServers = 16
  /// A terminal takes no longer line than 4095 bytes.
  public static let maximumLength = 2048

  public static let prefix = "mnedc-invite:"
  private static let checksumSize = 4

  /// Throws if there is no server or too many, if one cannot be written, or if all of them make the line too long.
  public init(relayKey: [UInt8], token: [UInt8], servers: [String]) throws(InviteTextError) {
    precondition(relayKey.count == KeyText.keySize && token.count == Token.size, "fixed sizes")
    guard (1...Self.maximumServers).contains(servers.count), servers.allSatisfy({ $0.isVisibleASCII(atMost: 255) })
    else { throw .badServer }
    self.relayKey = relayKey
    self.token = token
    self.servers = servers
    if description.utf8.count > Self.maximumLength { throw .tooLong }
  }

  /// Reads what `description` writes; white space around it does not matter.
  public init(parsing text: String) throws(InviteTextError) {
    let line = Self.trimmed(text)
    guard line.utf8.count <= Self.maximumLength else { throw .tooLong }
    guard line.utf8.starts(with: Self.prefix.utf8) else { throw .noInvite(KeyText.kind(of: line)) }
    guard let bytes = Base64URL.decode(Substring(line.utf8.dropFirst(Self.prefix.utf8.count))),
      bytes.count > Self.checksumSize
    else {
      throw .damaged
    }
    let content = bytes.dropLast(Self.checksumSize)
    let checksum = bytes.suffix(Self.checksumSize).reduce(0) { $0 << 8 | UInt32($1) }
    guard checksum == CRC32.checksum(content) else { throw .damaged }
    guard content[0] == Self.version else { throw .otherVersion(content[0]) }

    var rest = content.dropFirst()
    func take(_ count: Int) throws(InviteTextError) -> [UInt8] {
      guard rest.count >= count else { throw .malformed }
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
    let relayKey = try take(KeyText.keySize)
    let token = try take(Token.size)
    var servers: [String] = []
    for _ in 0..<(try take(1)[0]) {
      servers.append(String(decoding: try take(Int(try take(1)[0])), as: UTF8.self))
    }
    guard rest.isEmpty else { throw .malformed }
    try self.init(relayKey: relayKey, token: token, servers: servers)
  }

  public init?(_ description: String) {
    guard let invite = try? Self(parsing: description) else { return nil }
    self = invite
  }

  /// The line, without an end of line.
  public var description: String {
    var bytes = [Self.version] + relayKey + token + [UInt8(servers.count)]
    for server in servers { bytes += [UInt8(server.utf8.count)] + Array(server.utf8) }
    let checksum = CRC32.checksum(bytes)
    bytes += stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: checksum >> UInt32($0)) }
    return Self.prefix + Base64URL.encode(bytes)
  }

  private static func trimmed(_ text: String) -> String {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    let start = text.utf8.drop(while: isSpace)
    guard let last = start.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(decoding: start[...last], as: UTF8.self)
  }
}

/// Why a text is no invite that this program can use: one line for a person, which holds nothing of the text.
public enum InviteTextError: Error, Equatable, Sendable, CustomStringConvertible {
  /// It begins otherwise; perhaps as something else of the suite does.
  case noInvite(KeyText?)
  /// Characters are missing, changed or too many.
  case damaged
  /// It is whole, and of a version that this program does not know.
  case otherVersion(UInt8)
  /// It is whole, and what is in it is not laid out as it should be.
  case malformed
  /// A server's address is missing or cannot be in an invite.
  case badServer
  case tooLong

  public var description: String {
    switch self {
    case .noInvite(let kind?):
      "this is no invite: it begins with \(kind.prefix) in place of \(InviteText.prefix); \(InviteText.advice)"
    case .noInvite(nil): "this is no invite, which begins with \(InviteText.prefix); \(InviteText.advice)"
    case .damaged: "the invite is damaged; copy the whole line again"
    case .otherVersion(let version):
      "the invite is of version \(version), and this program reads version \(InviteText.version); update the older side"
    case .malformed: "the invite is whole, but not laid out as one; ask for another"
    case .badServer:
      "an invite names 1 to \(InviteText.maximumServers) servers, each of 1 to 255 visible ASCII characters"
    case .tooLong:
      "an invite is at most \(InviteText.maximumLength) characters long; copy the one line alone"
    }
  }
}

extension InviteText {
  fileprivate static var advice: String { "take the line that `mnedc-ctl invite` prints at the relay" }
}

/// The CRC-32 of IEEE 802.3, which detects every change of up to 32 neighbouring bits. No protection against intent.
enum CRC32 {
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var checksum = UInt32.max
    for byte in bytes {
      checksum ^= UInt32(byte)
      for _ in 0..<8 { checksum = checksum >> 1 ^ (checksum & 1 == 0 ? 0 : 0xEDB8_8320) }
    }
    return ~checksum
  }
}
