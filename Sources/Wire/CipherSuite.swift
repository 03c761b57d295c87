/// The authenticated ciphers of a session, both with keys of 256 bits and tags of 128.
public enum CipherSuite: String, CaseIterable, Sendable, Codable {
  /// NIST SP 800-38D.
  case aes256GCM = "aes-256-gcm"
  /// RFC 8439.
  case chaCha20Poly1305 = "chacha20-poly1305"
}

/// The ciphers that a device has for sessions with its peers; what this version does not
/// know is left out, and so is what is named twice.
public struct CipherList: Sendable, Equatable, Codable {
  public let ciphers: [CipherSuite]

  public init(_ ciphers: [CipherSuite]) {
    self.ciphers = ciphers
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let names = try container.decode([String].self)
    ciphers = CipherSuite.allCases.filter { names.contains($0.rawValue) }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(ciphers.map(\.rawValue))
  }

  /// The cipher of a session between a device with these and one with `others`: AES-256-GCM where both have it.
  public func common(with others: CipherList) -> CipherSuite? {
    [.aes256GCM, .chaCha20Poly1305].first { ciphers.contains($0) && others.ciphers.contains($0) }
  }
}
