import Noise
import Testing
import Wire

@Suite struct TransportCipherTests {
  private let plaintext = (0..<33).map { UInt8($0) }

  private func cipher(_ suite: CipherSuite, key: UInt8 = 1) -> TransportCipher {
    TransportCipher(TransportKey(suite: suite, bytes: Array(repeating: key, count: 32)))
  }

  @Test(arguments: CipherSuite.allCases, [0, 1, 15, 16, 17, 1400, 65536])
  func `what is sealed in place opens in place`(suite: CipherSuite, size: Int) {
    let plaintext = (0..<size).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let sealed = cipher(suite).sealed(plaintext, counter: 5, associatedData: [1, 2])
    #expect(sealed.count == size + TransportCipher.tagSize)
    #expect(size < 15 || Array(sealed.prefix(size)) != plaintext)
    #expect(cipher(suite).opened(sealed, counter: 5, associatedData: [1, 2]) == plaintext)
  }

  @Test(arguments: CipherSuite.allCases)
  func `a change of any one bit is refused`(suite: CipherSuite) {
    let cipher = cipher(suite)
    let sealed = cipher.sealed(plaintext, counter: 5)
    for bit in 0..<sealed.count * 8 {
      var changed = sealed
      changed[bit / 8] ^= 1 << (bit % 8)
      #expect(cipher.opened(changed, counter: 5) == nil, "bit \(bit)")
    }
    #expect(cipher.opened(sealed, counter: 5) == plaintext)
  }

  @Test(arguments: CipherSuite.allCases)
  func `what was cut or made longer is refused`(suite: CipherSuite) {
    let cipher = cipher(suite)
    let sealed = cipher.sealed(plaintext)
    for length in 0..<sealed.count { #expect(cipher.opened(Array(sealed.prefix(length))) == nil) }
    #expect(cipher.opened(sealed + [0]) == nil)
  }

  @Test(arguments: CipherSuite.allCases)
  func `another counter, key, suite or associated data is refused`(suite: CipherSuite) {
    let sealed = cipher(suite).sealed(plaintext, counter: 5, associatedData: [1, 2])
    let other: CipherSuite = suite == .aes256GCM ? .chaCha20Poly1305 : .aes256GCM
    for counter in [0, 4, 6, 5 << 56, 5 << 32, .max - 1] as [UInt64] {
      #expect(cipher(suite).opened(sealed, counter: counter, associatedData: [1, 2]) == nil)
    }
    for associatedData in [[], [1], [1, 3], [1, 2, 0]] as [[UInt8]] {
      #expect(cipher(suite).opened(sealed, counter: 5, associatedData: associatedData) == nil)
    }
    #expect(cipher(suite, key: 2).opened(sealed, counter: 5, associatedData: [1, 2]) == nil)
    #expect(cipher(other).opened(sealed, counter: 5, associatedData: [1, 2]) == nil)
  }

  /// Computed with Python's cryptography from the nonces 00 00 00 01 | counter.
  @Test(
    arguments: [
      (.aes256GCM, 0, "9fe862abc6f2df98b90c35747b5a02eb4d5872592335045de4b2ef2fc5180131"),
      (.aes256GCM, 5, "5680a600034fc28f68a33a5a6294e46f2697398913654838d12f07d375bcb563"),
      (.chaCha20Poly1305, 5, "1d9cfd45fd6d26f069e49e0e921ed6d8d07ed759cb1dad0353b14294b97955be"),
    ] as [(CipherSuite, UInt64, String)])
  func `a path's number is a part of the nonce`(suite: CipherSuite, counter: UInt64, expected: String) {
    let key = bytes("3390fbe708e0f0a8cc271011b1160463508bbd178fca5a3828e6907493fbfcbf")
    let header = bytes("05060708020000010000000000000000")
    let content = bytes("01000000000000000102030405060708")
    let cipher = TransportCipher(TransportKey(suite: suite, bytes: key))
    let sealed = cipher.sealed(content, path: 1, counter: counter, associatedData: header)
    #expect(sealed == bytes(expected))
    #expect(cipher.opened(sealed, path: 1, counter: counter, associatedData: header) == content)
    for path in [0, 2, 256, 1 << 23] as [UInt32] {
      #expect(cipher.opened(sealed, path: path, counter: counter, associatedData: header) == nil)
    }
  }

  private func bytes(_ hexadecimal: String) -> [UInt8] {
    let digits = hexadecimal.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  @Test(arguments: CipherSuite.allCases)
  func `the last counter may be used, and the reserved one never opens`(suite: CipherSuite) {
    let sealed = cipher(suite).sealed(plaintext, counter: .max - 1)
    #expect(cipher(suite).opened(sealed, counter: .max - 1) == plaintext)
    #expect(cipher(suite).opened(sealed, counter: .max) == nil)
  }

  @Test func `the reserved counter does not seal`() async {
    await #expect(processExitsWith: .failure) {
      _ = TransportCipher(TransportKey(suite: .aes256GCM, bytes: Array(repeating: 1, count: 32)))
        .sealed([1], counter: .max)
    }
  }
}
