import Noise
import Testing
import Wire

@Suite struct HandshakeTests {
  @Test(arguments: Variant.all)
  func `both ends come to the same hash, each other's keys, and one key a direction`(variant: Variant) throws {
    var ends = Ends(variant)
    try ends.finish()
    #expect(ends.initiator.hash == ends.responder.hash)
    #expect(ends.initiator.remoteKey == ends.responderKey.publicKey)
    #expect(ends.responder.remoteKey == ends.initiatorKey.publicKey)
    let (first, second) = (ends.initiator.split(), ends.responder.split())
    #expect(first.send.suite == variant.cipher)
    #expect(TransportCipher(second.receive).opened(TransportCipher(first.send).sealed([7])) == [7])
    #expect(TransportCipher(first.receive).opened(TransportCipher(second.send).sealed([8])) == [8])
    #expect(TransportCipher(first.receive).opened(TransportCipher(first.send).sealed([9])) == nil)
  }

  @Test(arguments: Variant.all)
  func `the other end's key is known from the message that brings it`(variant: Variant) throws {
    var ends = Ends(variant)
    #expect((ends.initiator.remoteKey != nil) == (variant.pattern == .ik))
    #expect(ends.responder.remoteKey == nil)
    try ends.play([])
    #expect((ends.responder.remoteKey != nil) == (variant.pattern == .ik))
    try ends.play([])
    #expect(ends.initiator.remoteKey == ends.responderKey.publicKey)
    try ends.finish()
    #expect(ends.responder.remoteKey == ends.initiatorKey.publicKey)
  }

  @Test(arguments: Variant.all)
  func `a handshake in which one bit of any byte was changed comes to nothing`(variant: Variant) throws {
    var before = Ends(variant)
    while !before.isFinished {
      // What is written from the same state is the same each time: only the change differs.
      var length = 0
      var after = before
      try after.play([1, 2]) { length = $0.count }
      for byte in 0..<length {
        #expect(throws: NoiseError.self, "byte \(byte) of \(length)") {
          var ends = before
          // The highest bit of a key among them, which the key agreement ignores.
          try ends.play([1, 2]) { $0[byte] ^= 1 << (byte % 8) }
          try ends.finish()
        }
      }
      before = after
    }
  }

  @Test(arguments: Variant.all)
  func `a handshake in which any message was cut or made longer comes to nothing`(variant: Variant) throws {
    var before = Ends(variant)
    while !before.isFinished {
      var length = 0
      var after = before
      try after.play([1, 2]) { length = $0.count }
      for shortened in 0..<length {
        #expect(throws: NoiseError.self, "\(shortened) of \(length) bytes") {
          var ends = before
          try ends.play([1, 2]) { $0.removeLast(length - shortened) }
          try ends.finish()
        }
      }
      for extra in [1, 16, 65535] {
        #expect(throws: NoiseError.self, "\(extra) bytes more") {
          var ends = before
          try ends.play([1, 2]) { $0 += Array(repeating: 0, count: extra) }
          try ends.finish()
        }
      }
      before = after
    }
  }

  @Test(arguments: Variant.all)
  func `another prologue is refused at the first sealed message`(variant: Variant) throws {
    var ends = Ends(variant, prologue: [1, 2, 4])
    if variant.pattern == .xx { try ends.play([]) }
    #expect(throws: NoiseError.authentication) { try ends.play([]) }
  }

  @Test(arguments: CipherSuite.allCases)
  func `an initiator that expects another key is not understood`(cipher: CipherSuite) {
    var ends = Ends(Variant(pattern: .ik, cipher: cipher), expects: PrivateKey().publicKey)
    #expect(throws: NoiseError.authentication) { try ends.play([]) }
    #expect(ends.responder.remoteKey == nil)
  }

  @Test func `ends with different ciphers do not understand each other`() throws {
    var ends = Ends(Variant(pattern: .xx, cipher: .aes256GCM))
    ends.responder = Ends(Variant(pattern: .xx, cipher: .chaCha20Poly1305)).responder
    try ends.play([])
    #expect(throws: NoiseError.authentication) { try ends.play([]) }
  }

  @Test(arguments: Variant.all)
  func `a failed handshake stays failed`(variant: Variant) throws {
    var ends = Ends(variant)
    _ = try ends.initiator.write()
    #expect(throws: NoiseError.tooShort) { try ends.responder.read([]) }
    #expect(throws: NoiseError.failed) { try ends.responder.read([]) }
    #expect(throws: NoiseError.failed) { try ends.responder.write() }
    #expect(!ends.responder.isFinished && !ends.responder.isOurTurn)
  }

  @Test(arguments: Variant.all)
  func `a message that is not due is refused and changes nothing`(variant: Variant) throws {
    var ends = Ends(variant)
    #expect(throws: NoiseError.outOfTurn) { try ends.initiator.read([1, 2, 3]) }
    try ends.finish()
    #expect(throws: NoiseError.outOfTurn) { try ends.initiator.read([1, 2, 3]) }
    #expect(throws: NoiseError.outOfTurn) { try ends.responder.read([1, 2, 3]) }
    #expect(ends.isFinished)
  }

  @Test(arguments: Variant.all)
  func `a message may have 65535 bytes and not one more`(variant: Variant) throws {
    let overhead = try Ends(variant).initiator.copy { (handshake) throws(NoiseError) in try handshake.write() }.count
    let longest = Array(repeating: 6 as UInt8, count: Handshake.maximumMessage - overhead)
    var ends = Ends(variant)
    let message = try ends.initiator.write(longest)
    #expect(message.count == Handshake.maximumMessage)
    #expect(try ends.responder.read(message) == longest)
    var other = Ends(variant)
    #expect(throws: NoiseError.tooLong) { try other.initiator.write(longest + [6]) }
    #expect(throws: NoiseError.tooLong) { try other.responder.read(message + [6]) }
  }

  @Test(arguments: [0, 1] as [UInt8])
  func `a key with which everybody agrees on zero is refused`(low: UInt8) throws {
    let zero = try #require(PublicKey([low] + Array(repeating: 0, count: 31)))
    var ends = Ends(Variant(pattern: .ik, cipher: .aes256GCM), expects: zero)
    #expect(throws: NoiseError.badKey) { try ends.initiator.write() }
    var other = Ends(Variant(pattern: .xx, cipher: .aes256GCM))
    _ = try other.responder.read(zero.bytes)
    #expect(throws: NoiseError.badKey) { try other.responder.write() }
  }

  @Test func `no two handshakes have the same first message`() throws {
    var (first, second) = (Ends(Variant.all[0]), Ends(Variant.all[0]))
    #expect(try first.initiator.write() != second.initiator.write())
  }
}

extension Handshake {
  /// What a copy does, so that this stays as it is.
  fileprivate func copy<Result>(
    _ body: (inout Handshake) throws(NoiseError) -> Result
  ) throws(NoiseError) -> Result {
    var copy = self
    return try body(&copy)
  }
}

@Suite struct KeyTests {
  @Test func `a private key is the bytes it was made of`() throws {
    let key = PrivateKey()
    let again = try #require(PrivateKey(key.bytes))
    #expect(again.bytes == key.bytes && again.publicKey == key.publicKey)
    #expect(PrivateKey().bytes != key.bytes)
  }

  @Test(arguments: [0, 31, 33, 64]) func `a key has 32 bytes`(count: Int) {
    let bytes = Array(repeating: 9 as UInt8, count: count)
    #expect(PrivateKey(bytes) == nil)
    #expect(PublicKey(bytes) == nil)
  }

  @Test func `a private key is not written out by mistake`() {
    let key = PrivateKey()
    #expect("\(key)" == "a private key")
    #expect("\(TransportKey(suite: .aes256GCM, bytes: key.bytes))" == "a key for aes-256-gcm")
  }
}
