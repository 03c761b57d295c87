internal import CBoringSSL

/// The authenticated ciphers of a session, both with keys of 256 bits and tags of 128.
public enum CipherSuite: String, CaseIterable, Sendable, Codable {
  /// NIST SP 800-38D.
  case aes256GCM = "aes-256-gcm"
  /// RFC 8439.
  case chaCha20Poly1305 = "chacha20-poly1305"

  /// Whether AES-GCM is fast and constant in time on this machine. Without it ChaCha20-Poly1305 is the one to take.
  public static var hasAESInstructions: Bool { cboringssl_has_aes_hardware() }

  /// Its name within the name of a Noise protocol.
  var noiseName: String {
    switch self {
    case .aes256GCM: "AESGCM"
    case .chaCha20Poly1305: "ChaChaPoly"
    }
  }
}
