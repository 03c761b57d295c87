import Foundation
import Noise
import Testing
import Wire

/// A handshake and what is sent after it, byte by byte (the vectors of cacophony).
struct Vector: Decodable, Sendable, CustomTestStringConvertible {
  struct Message: Decodable, Sendable {
    let payload: String
    let ciphertext: String
  }

  let protocolName: String
  let initPrologue: String
  let initStatic: String
  let initEphemeral: String
  let initRemoteStatic: String?
  let respPrologue: String
  let respStatic: String
  let respEphemeral: String
  let handshakeHash: String
  let messages: [Message]

  var testDescription: String { protocolName }

  static let all: [Vector] = {
    struct Fixture: Decodable {
      let vectors: [Vector]
    }
    do {
      let file = try #require(Bundle.module.url(forResource: "vectors", withExtension: "json"))
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(Fixture.self, from: Data(contentsOf: file)).vectors
    } catch {
      fatalError("vectors.json: \(error)")
    }
  }()

  var pattern: Handshake.Pattern { protocolName.contains("_IK_") ? .ik : .xx }

  var cipher: CipherSuite { protocolName.contains("AESGCM") ? .aes256GCM : .chaCha20Poly1305 }

  func handshake(_ role: Handshake.Role) throws -> Handshake {
    let isInitiator = role == .initiator
    var handshake = Handshake(
      pattern, cipher: cipher, role: role, prologue: bytes(isInitiator ? initPrologue : respPrologue),
      key: try #require(PrivateKey(bytes(isInitiator ? initStatic : respStatic))),
      remoteKey: isInitiator ? initRemoteStatic.flatMap { PublicKey(bytes($0)) } : nil)
    handshake.ephemeralKey = try #require(PrivateKey(bytes(isInitiator ? initEphemeral : respEphemeral)))
    return handshake
  }
}

private func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

@Suite struct VectorTests {
  @Test func `there are vectors for both patterns with both ciphers`() {
    #expect(Set(Vector.all.map { "\($0.pattern) \($0.cipher)" }).count == 4)
  }

  @Test(arguments: Vector.all, [Handshake.Role.initiator, .responder])
  func `either end says and understands what the vector says, byte for byte`(
    vector: Vector, role: Handshake.Role
  ) throws {
    var handshake = try vector.handshake(role)
    var rest = vector.messages[...]
    while !handshake.isFinished {
      let message = rest.removeFirst()
      if handshake.isOurTurn {
        #expect(try handshake.write(bytes(message.payload)) == bytes(message.ciphertext))
      } else {
        #expect(try handshake.read(bytes(message.ciphertext)) == bytes(message.payload))
      }
    }
    #expect(handshake.hash == bytes(vector.handshakeHash))
    let other = role == .initiator ? vector.respStatic : vector.initStatic
    #expect(handshake.remoteKey == PrivateKey(bytes(other))?.publicKey)

    let keys = handshake.split()
    let send = TransportCipher(keys.send)
    let receive = TransportCipher(keys.receive)
    #expect(rest.count > 2)
    var counters: [Bool: UInt64] = [:]
    for (index, message) in zip(rest.indices, rest) {
      let isOurs = (index % 2 == 0) == (role == .initiator)
      let counter = counters[isOurs, default: 0]
      counters[isOurs] = counter + 1
      if isOurs {
        #expect(send.sealed(bytes(message.payload), counter: counter) == bytes(message.ciphertext))
      } else {
        #expect(receive.opened(bytes(message.ciphertext), counter: counter) == bytes(message.payload))
      }
    }
  }
}
