internal import CBoringSSL
public import Wire

extension CipherSuite {
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
