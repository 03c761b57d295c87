import Noise
import Testing
import Wire

extension Handshake {
  mutating func read(_ message: [UInt8]) throws(NoiseError) -> [UInt8] {
    // A closure between would lose the error's type.
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 1)
    defer { bytes.deallocate() }
    bytes.copyBytes(from: message)
    return try read(UnsafeRawBufferPointer(bytes))
  }
}

extension TransportCipher {
  /// Ciphertext and tag.
  borrowing func sealed(
    _ plaintext: [UInt8], path: UInt32 = 0, counter: UInt64 = 0, associatedData: [UInt8] = []
  ) -> [UInt8] {
    var bytes = plaintext + Array(repeating: 0, count: Self.tagSize)
    bytes.withUnsafeMutableBytes { bytes in
      associatedData.withUnsafeBytes { seal(bytes, path: path, counter: counter, associatedData: $0) }
    }
    return bytes
  }

  /// The plaintext, or nil if it is not authentic.
  borrowing func opened(
    _ sealed: [UInt8], path: UInt32 = 0, counter: UInt64 = 0, associatedData: [UInt8] = []
  ) -> [UInt8]? {
    var bytes = sealed
    let isAuthentic = bytes.withUnsafeMutableBytes { bytes in
      associatedData.withUnsafeBytes { open(bytes, path: path, counter: counter, associatedData: $0) }
    }
    return isAuthentic ? bytes.dropLast(Self.tagSize) : nil
  }
}

/// A pattern with a cipher.
struct Variant: Sendable, CustomTestStringConvertible {
  let pattern: Handshake.Pattern
  let cipher: CipherSuite

  static let all = [Handshake.Pattern.xx, .ik].flatMap { pattern in
    CipherSuite.allCases.map { Variant(pattern: pattern, cipher: $0) }
  }

  var testDescription: String { "\(pattern) \(cipher.rawValue)" }
}

/// Two ends that were not introduced yet.
struct Ends {
  var initiator: Handshake
  var responder: Handshake
  let initiatorKey = PrivateKey()
  let responderKey = PrivateKey()

  /// The initiator of `ik` expects the responder's key, unless another is given; `prologue` is the responder's.
  init(_ variant: Variant, prologue: [UInt8] = [1, 2, 3], expects: PublicKey? = nil) {
    let expected = variant.pattern == .ik ? expects ?? responderKey.publicKey : nil
    initiator = Handshake(
      variant.pattern, cipher: variant.cipher, role: .initiator, prologue: [1, 2, 3], key: initiatorKey,
      remoteKey: expected)
    responder = Handshake(
      variant.pattern, cipher: variant.cipher, role: .responder, prologue: prologue, key: responderKey)
  }

  var isFinished: Bool { initiator.isFinished && responder.isFinished }

  /// Plays the next message, changed on its way.
  mutating func play(_ payload: [UInt8], changed change: (inout [UInt8]) -> Void = { _ in }) throws(NoiseError) {
    if initiator.isOurTurn {
      var message = try initiator.write(payload)
      change(&message)
      _ = try responder.read(message)
    } else {
      var message = try responder.write(payload)
      change(&message)
      _ = try initiator.read(message)
    }
  }

  /// Plays all that is left.
  mutating func finish() throws(NoiseError) {
    while !isFinished { try play([4, 5]) }
  }
}
