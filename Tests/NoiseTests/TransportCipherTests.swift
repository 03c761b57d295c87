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
