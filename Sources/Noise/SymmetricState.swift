internal import CBoringSSL
internal import Crypto
internal import Wire

/// What both ends of a handshake share: the hash of all messages, and a key derived from all key agreements.
///
/// Source: the Noise specification, revision 34, sections 5.1 (CipherState) and 5.2 (SymmetricState).
struct SymmetricState: Sendable {
  private let suite: CipherSuite
  /// `h`, 32 bytes.
  private(set) var hash: [UInt8]
  /// `ck`.
  private var chainingKey: SymmetricKey
  /// `k`; `nil` before the first key agreement, and until then nothing is sealed.
  private var key: SymmetricKey?
  /// `n`
  private var counter: UInt64 = 0

  /// Precondition: the name has at most 32 bytes, as all of ours; longer ones would have to be hashed.
  init(protocolName: String, suite: CipherSuite) {
    self.suite = suite
    hash = Array(protocolName.utf8)
    precondition(hash.count <= SHA256.byteCount)
    hash += Array(repeating: 0, count: SHA256.byteCount - hash.count)
    chainingKey = SymmetricKey(data: hash)
  }

  mutating func mixHash(_ bytes: some Sequence<UInt8>) {
    hash = Array(SHA256.hash(data: hash + bytes))
  }

  mutating func mixKey(_ secret: SharedSecret) {
    let (first, second) = secret.withUnsafeBytes { derive($0) }
    chainingKey = first
    key = second
    counter = 0
  }

  /// The ciphertext and its tag; before the first key agreement the plaintext.
  mutating func encryptAndHash(_ plaintext: [UInt8]) -> [UInt8] {
    var bytes = plaintext
    if let key {
      bytes += Array(repeating: 0, count: TransportCipher.tagSize)
      let cipher = TransportCipher(TransportKey(suite: suite, key: key))
      bytes.withUnsafeMutableBytes { bytes in
        hash.withUnsafeBytes { cipher.seal(bytes, counter: counter, associatedData: $0) }
      }
      counter += 1
    }
    mixHash(bytes)
    return bytes
  }

  mutating func decryptAndHash(_ bytes: UnsafeRawBufferPointer) throws(NoiseError) -> [UInt8] {
    var plaintext = Array(bytes)
    if let key {
      let cipher = TransportCipher(TransportKey(suite: suite, key: key))
      let isAuthentic = plaintext.withUnsafeMutableBytes { bytes in
        hash.withUnsafeBytes { cipher.open(bytes, counter: counter, associatedData: $0) }
      }
      guard isAuthentic else { throw .authentication }
      plaintext.removeLast(TransportCipher.tagSize)
      counter += 1
    }
    mixHash(bytes)
    return plaintext
  }

  /// How many bytes sealing adds now.
  var overhead: Int { key == nil ? 0 : TransportCipher.tagSize }

  /// The keys of the two directions, the initiator's first.
  func split() -> (TransportKey, TransportKey) {
    let (first, second) = derive(UnsafeRawBufferPointer(start: nil, count: 0))
    return (TransportKey(suite: suite, key: first), TransportKey(suite: suite, key: second))
  }

  /// Noise's HKDF (section 4.3) with two outputs.
  private func derive(_ material: UnsafeRawBufferPointer) -> (SymmetricKey, SymmetricKey) {
    let temporary = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: material, using: chainingKey))
    let first = HMAC<SHA256>.authenticationCode(for: [1 as UInt8], using: temporary)
    var rest = Array(first) + [2]
    defer { rest.withUnsafeMutableBytes { cboringssl_wipe($0.baseAddress, $0.count) } }
    let second = HMAC<SHA256>.authenticationCode(for: rest, using: temporary)
    return (SymmetricKey(data: first), SymmetricKey(data: second))
  }
}
