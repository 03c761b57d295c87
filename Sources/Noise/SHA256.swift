internal import Crypto

/// The SHA-256 digest of `bytes`: 32 bytes (FIPS 180-4).
public func sha256(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }
