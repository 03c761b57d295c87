public struct Refusal: Codable, Sendable, Equatable, Error {
  /// Why a device is not let in, or a session ended. An unknown code is read as `other`.
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
    case silent = "silent"
    case shuttingDown = "shutting-down"
    case other

    /// Whether it is worth to try again soon.
    public var isPassing: Bool {
      self == .shuttingDown || self == .busy || self == .silent || self == .sessionReplaced
        || self == .tooManyAttempts
    }

    public init(from decoder: any Decoder) throws {
      self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .other
    }
  }

  public var code: Code
  /// For people.
  public var text: String
  /// Of a relay that will have the device later: after how many milliseconds to try again. Absent: when the device likes.
  public var retryAfter: Int?

  /// A long `text`, which may quote what the other end sent, is cut so that the refusal always fits a handshake frame, and
  /// what is no visible character becomes a space, since it ends up on terminals and in logs.
  public init(_ code: Code, _ text: String, retryAfter: Int? = nil) {
    self.code = code
    self.retryAfter = retryAfter
    let start = String(String.UnicodeScalarView(text.unicodeScalars.prefix(Self.maximumText)))
    self.text = start.replacing(unless: \.isHarmless, with: " ")
  }

  /// Whether it is worth to try again: the code says so, or the relay has said when.
  public var isPassing: Bool { code.isPassing || retryAfter != nil }

  private enum CodingKeys: String, CodingKey {
    case code, text
    case retryAfter = "retry_after_ms"
  }

  /// All members come from a stranger.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try container.decode(Code.self, forKey: .code), try container.decode(String.self, forKey: .text),
      retryAfter: try container.decodeIfPresent(Int.self, forKey: .retryAfter).map {
        min(max($0, 0), Self.maximumRetryAfter)
      })
  }

  /// A day, in milliseconds.
  public static let maximumRetryAfter = 86_400_000

  /// In Unicode scalars, of which each takes at most 6 bytes in JSON.
  public static let maximumText = 500
}
