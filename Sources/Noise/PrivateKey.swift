internal import Crypto
public import Wire

/// The SHA-256 digest of `bytes`: 32 bytes (FIPS 180-4).
public func sha256(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

extension PublicKey {
  /// SHA-256 of the key, 32 bytes, which fingerprints show.
  public var digest: [UInt8] { sha256(bytes) }

  /// What people compare.
  public var fingerprint: String { KeyText.fingerprint(digest: digest) }

  /// The digest's first 8 bytes as a number, which tell a relay with several keys which one is meant.
  public var hint: UInt64 { digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
}

/// An X25519 private key. Its memory is wiped when the last copy goes.
public struct PrivateKey: Sendable, CustomStringConvertible {
  private let key: Curve25519.KeyAgreement.PrivateKey

  /// A new key from the system's random numbers.
  public init() {
    key = Curve25519.KeyAgreement.PrivateKey()
  }

  /// `nil` unless there are 32 bytes.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == 32, let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes) else {
      return nil
    }
    self.key = key
  }

  /// The secret, for a file. The caller's copy is not wiped.
  public var bytes: [UInt8] { [UInt8](key.rawRepresentation) }

  public var publicKey: PublicKey {
    guard let key = PublicKey([UInt8](key.publicKey.rawRepresentation)) else {
      preconditionFailure("an X25519 public key has 32 bytes")
    }
    return key
  }

  /// Does not contain the secret, so that no log can.
  public var description: String { "a private key" }

  /// X25519. Throws `badKey` where the result would be zero whatever this key is (RFC 7748, section 6.1): swift-crypto
  /// leaves that check to its caller on Linux.
  func agree(with remote: PublicKey) throws(NoiseError) -> SharedSecret {
    guard let remote = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: remote.bytes),
      let secret = try? key.sharedSecretFromKeyAgreement(with: remote)
    else { throw .badKey }
    guard secret.withUnsafeBytes({ $0.reduce(0, |) }) != 0 else { throw .badKey }
    return secret
  }
}
