import Testing
import Wire

@Suite struct Base64URLTests {
  @Test func `the examples of RFC 4648 go both ways`() {
    let examples: KeyValuePairs = [
      "": "", "f": "Zg", "fo": "Zm8", "foo": "Zm9v", "foob": "Zm9vYg", "fooba": "Zm9vYmE", "foobar": "Zm9vYmFy",
    ]
    for (bytes, text) in examples {
      #expect(Base64URL.encode(bytes.utf8) == text)
      #expect(Base64URL.decode(text) == Array(bytes.utf8))
    }
    #expect(Base64URL.encode([0xFB, 0xFF, 0xBF]) == "-_-_")
  }

  @Test func `every one or two bytes have one text, and no other text is read as them`() {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    var read: [[UInt8]: String] = [:]
    for first in digits {
      #expect(Base64URL.decode(String(first)) == nil)
      for second in digits {
        for third in ["", "A", "E", "8", "B", "_"] {
          let text = "\(first)\(second)\(third)"
          guard let bytes = Base64URL.decode(text) else { continue }
          #expect(Base64URL.encode(bytes) == text)
          #expect(read.updateValue(text, forKey: bytes) == nil)
        }
      }
    }
    for first in UInt8.min...UInt8.max {
      #expect(Base64URL.decode(Base64URL.encode([first])) == [first])
      for second in UInt8.min...UInt8.max {
        if Base64URL.decode(Base64URL.encode([first, second])) != [first, second] {
          Issue.record("\(first) \(second)")
        }
      }
    }
  }

  @Test func `a foreign character is refused wherever it stands`() {
    for byte in UInt8.min...UInt8.max where !(Unicode.Scalar(byte).properties.isAlphabetic && byte < 128) {
      guard ![45, 95].contains(byte), !(48...57).contains(byte) else { continue }
      for place in 0..<4 {
        var text = Array("AAAA".utf8)
        text[place] = byte
        #expect(Base64URL.decode(String(decoding: text, as: UTF8.self)) == nil)
      }
    }
    #expect(Base64URL.decode("Zg==") == nil)
    #expect(Base64URL.decode("Zm9v\n") == nil)
  }
}

@Suite struct KeyTextTests {
  static let key = (0..<32).map { UInt8($0 * 7) }

  @Test(arguments: KeyText.allCases)
  func `a key is read as it is written`(kind: KeyText) throws {
    let text = kind.text(Self.key)
    #expect(text.utf8.count == kind.rawValue.utf8.count + 1 + 43)
    #expect(try kind.parse(text) == Self.key)
    #expect(try kind.parse("x\(text)y".dropFirst().dropLast()) == Self.key)
  }

  @Test func `a fingerprint is the digest behind its name`() {
    #expect(
      KeyText.fingerprint(digest: [UInt8](repeating: 0xFF, count: 32))
        == "SHA256:__________________________________________8")
  }

  @Test func `what is no key of the kind is named as what it is`() {
    let digits = Base64URL.encode(Self.key)
    func refusal(_ text: String) -> KeyTextError? {
      #expect(throws: KeyTextError.self) { try KeyText.relay.parse(text) }
    }
    #expect(refusal("mnedc-device:\(digits)") == .otherKind(.device))
    #expect(refusal("mnedc-private-key:\(digits)") == .otherKind(.privateKey))
    #expect(refusal("mnedc-invite:\(digits)") == .invite)
    for text in ["", "mnedc-relay", digits, "MNEDC-RELAY:\(digits)", " mnedc-relay:\(digits)", "mnedc-relay\(digits)"] {
      #expect(refusal(text) == .noPrefix)
    }
    #expect(refusal("mnedc-relay:") == .wrongLength(0))
    #expect(refusal("mnedc-relay:\(digits.dropLast())") == .wrongLength(42))
    #expect(refusal("mnedc-relay:\(digits)=") == .wrongLength(44))
    #expect(refusal("mnedc-relay:\(digits) ") == .wrongLength(44))
    #expect(refusal("mnedc-relay:\(digits.dropLast())+") == .notBase64URL)
    // The last character carries four bits of the key; one with the other two set stands for nothing.
    #expect(refusal("mnedc-relay:\(String(repeating: "A", count: 42))B") == .notBase64URL)
  }

  @Test func `a fingerprint is named by its first characters, at least four`() {
    #expect(KeyText.fingerprintStart("AbC-") == "SHA256:AbC-")
    #expect(KeyText.fingerprintStart("SHA256:AbC-") == "SHA256:AbC-")
    for text in ["AbC", "SHA256:AbC", "SHA256:", ""] { #expect(KeyText.fingerprintStart(text) == nil) }
  }

  @Test func `no description tells the text`() {
    #expect(KeyTextError.otherKind(.privateKey).description == "is a private key, which is for nobody to see")
    #expect(
      KeyTextError.wrongLength(42).description == "has 42 characters behind the colon in place of 43")
  }
}
