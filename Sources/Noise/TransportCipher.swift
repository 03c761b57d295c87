internal import CBoringSSL
internal import Crypto
public import Wire

/// The key of one direction of an established session. Its memory is wiped when the last copy goes.
public struct TransportKey: Sendable, CustomStringConvertible {
  public let suite: CipherSuite
  let key: SymmetricKey

  init(suite: CipherSuite, key: SymmetricKey) {
    precondition(key.bitCount == 256)
    self.suite = suite
    self.key = key
  }

  /// A known key of 32 bytes, for tests and measurements.
  package init(suite: CipherSuite, bytes: [UInt8]) {
    self.init(suite: suite, key: SymmetricKey(data: bytes))
  }

  /// Does not contain the secret, so that no log can.
  public var description: String { "a key for \(suite.rawValue)" }
}

/// One direction of an established session, which seals in place and allocates only in its initializer. Never seal
/// twice with one key, path and counter. A path has a number of 24 bits; Noise itself knows only path 0.
///
/// With BENCHMARK_NULL_CIPHER, which only `make bench` defines, in a build of its own, it neither seals nor checks,
/// which measures what sealing costs.
///
/// Source: the Noise specification, revision 34, section 12, for the ciphers and how a counter becomes a nonce.
public struct TransportCipher: ~Copyable, @unchecked Sendable {
  // `@unchecked`: set once, and sealing and opening only read it.
  private let aead: OpaquePointer
  private let isBigEndian: Bool

  /// In bytes.
  public static let tagSize = Int(CBORINGSSL_TAG_SIZE)

  public init(_ key: TransportKey) {
    let aead = key.key.withUnsafeBytes { bytes in
      let bytes = bytes.bindMemory(to: UInt8.self).baseAddress
      return switch key.suite {
      case .aes256GCM: cboringssl_aes_256_gcm(bytes)
      case .chaCha20Poly1305: cboringssl_chacha20_poly1305(bytes)
      }
    }
    guard let aead else { preconditionFailure("no memory for a key") }
    self.aead = aead
    isBigEndian = key.suite == .aes256GCM
  }

  deinit {
    cboringssl_free(aead)
  }

  /// Seals in place. `bytes` is the plaintext followed by `tagSize` bytes of room for the tag; `associatedData` is
  /// authenticated with it and not sent. The counter 2^64 - 1 is reserved by Noise: a precondition.
  public borrowing func seal(
    _ bytes: UnsafeMutableRawBufferPointer, path: UInt32 = 0, counter: UInt64, associatedData: UnsafeRawBufferPointer
  ) {
    precondition(bytes.count >= Self.tagSize && counter != .max)
    #if BENCHMARK_NULL_CIPHER
      return
    #else
      let isSealed = withNonce(path, counter) { nonce in
        cboringssl_seal(
          aead, bytes.bytePointer, bytes.count - Self.tagSize, nonce, associatedData.bytePointer, associatedData.count)
      }
      precondition(isSealed)
    #endif
  }

  /// Opens in place. `bytes` is ciphertext and tag. True: the first `count - tagSize` bytes are the plaintext. False:
  /// not authentic, and the contents are undefined. The counter comes from the other end, so the reserved one is not
  /// authentic rather than a caller's mistake.
  public borrowing func open(
    _ bytes: UnsafeMutableRawBufferPointer, path: UInt32 = 0, counter: UInt64, associatedData: UnsafeRawBufferPointer
  ) -> Bool {
    guard bytes.count >= Self.tagSize, counter != .max else { return false }
    #if BENCHMARK_NULL_CIPHER
      return true
    #else
      return withNonce(path, counter) { nonce in
        cboringssl_open(aead, bytes.bytePointer, bytes.count, nonce, associatedData.bytePointer, associatedData.count)
      }
    #endif
  }

  /// The path in four bytes, big-endian, and the counter: big-endian for AES-GCM, little-endian for ChaCha20-Poly1305.
  private borrowing func withNonce(
    _ path: UInt32, _ counter: UInt64, _ body: (UnsafePointer<UInt8>?) -> Bool
  ) -> Bool {
    let counter = isBigEndian ? counter.bigEndian : counter.littleEndian
    return withUnsafeTemporaryAllocation(byteCount: Int(CBORINGSSL_NONCE_SIZE), alignment: 4) { nonce in
      nonce.storeBytes(of: path.bigEndian, as: UInt32.self)
      nonce.storeBytes(of: counter, toByteOffset: 4, as: UInt64.self)
      return body(UnsafeRawBufferPointer(nonce).bytePointer)
    }
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate var bytePointer: UnsafeMutablePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeRawBufferPointer {
  fileprivate var bytePointer: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}

extension CipherSuite {
  /// Whether AES-GCM is fast and takes constant time on this machine. Without it ChaCha20-Poly1305 is the one to take.
  public static var hasAESInstructions: Bool { cboringssl_has_aes_hardware() }

  /// Its name within the name of a Noise protocol.
  var noiseName: String {
    switch self {
    case .aes256GCM: "AESGCM"
    case .chaCha20Poly1305: "ChaChaPoly"
    }
  }
}
