// One end of a Noise handshake and its session, for tests beside other implementations
// (Tests/Integration/test_noise.py).
//
//     noise-peer PATTERN CIPHER ROLE PROLOGUE KEY [REMOTE-KEY]     xx|ik, CipherSuite, initiator|responder, hexadecimal
//
// reads a command a line, and answers each with a line of hexadecimal or with `error WHY`:
//
//     write PAYLOAD      the next handshake message          read MESSAGE         its payload
//     hash               the handshake's hash                remote               the other end's key
//     seal AD TEXT       ciphertext and tag                  open AD CIPHERTEXT   the plaintext
//
// `-` stands for no bytes. The counters of seal and open begin at zero and go up by one.

import Glibc
import Noise
import Wire

/// A failed command; the text is the answer.
private struct Refusal: Error {
  let why: String
}

private func bytes(_ text: some StringProtocol) throws -> [UInt8] {
  if text == "-" { return [] }
  let digits = text.compactMap(\.hexDigitValue)
  guard digits.count == text.count, digits.count % 2 == 0 else { throw Refusal(why: "not hexadecimal") }
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

private func hex(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef")
  let text = String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  return text.isEmpty ? "-" : text
}

private struct Peer {
  var handshake: Handshake
  var sent: UInt64 = 0
  var received: UInt64 = 0

  init(_ arguments: [String]) throws {
    guard arguments.count >= 5, let cipher = CipherSuite(rawValue: arguments[1]),
      let key = PrivateKey(try bytes(arguments[4]))
    else { throw Refusal(why: "usage: noise-peer PATTERN CIPHER ROLE PROLOGUE KEY [REMOTE-KEY]") }
    handshake = Handshake(
      arguments[0] == "ik" ? .ik : .xx, cipher: cipher, role: arguments[2] == "initiator" ? .initiator : .responder,
      prologue: try bytes(arguments[3]), key: key,
      remoteKey: arguments.count > 5 ? PublicKey(try bytes(arguments[5])) : nil)
  }

  mutating func answer(_ command: [Substring]) throws -> [UInt8] {
    let arguments = try command.dropFirst().map(bytes)
    switch (command.first, arguments.count) {
    case ("write", 1): return try handshake.write(arguments[0])
    case ("read", 1): return try arguments[0].withUnsafeBytes { try handshake.read($0) }
    case ("hash", 0): return handshake.hash
    case ("remote", 0): return handshake.remoteKey?.bytes ?? []
    case ("seal", 2):
      var text = arguments[1] + Array(repeating: 0, count: TransportCipher.tagSize)
      let cipher = TransportCipher(handshake.split().send)
      text.withUnsafeMutableBytes { text in
        arguments[0].withUnsafeBytes { cipher.seal(text, counter: sent, associatedData: $0) }
      }
      sent += 1
      return text
    case ("open", 2):
      var text = arguments[1]
      let cipher = TransportCipher(handshake.split().receive)
      let isAuthentic = text.withUnsafeMutableBytes { text in
        arguments[0].withUnsafeBytes { cipher.open(text, counter: received, associatedData: $0) }
      }
      guard isAuthentic else { throw NoiseError.authentication }
      received += 1
      return text.dropLast(TransportCipher.tagSize)
    default: throw Refusal(why: "not a command")
    }
  }
}

@main struct NoisePeer {
  static func main() {
    do {
      var peer = try Peer(Array(CommandLine.arguments.dropFirst()))
      while let line = readLine() {
        do {
          print(hex(try peer.answer(line.split(separator: " "))))
        } catch let error as Refusal {
          print("error \(error.why)")
        } catch {
          print("error \(error)")
        }
        fflush(nil)
      }
    } catch {
      print("error \(error)")
      exit(64)
    }
  }
}
