import Testing
import Wire

@testable import BugReport

@Suite struct RedactionTests {
  private let key = [UInt8](0..<32).map { $0 &* 7 &+ 3 }

  @Test(arguments: KeyText.allCases)
  func `a key is not in the text any more, whatever stands around it`(kind: KeyText) {
    let secret = kind.text(key).dropFirst(kind.prefix.count)
    for text in [kind.text(key), "\"\(kind.text(key))\"", "a \(kind.text(key)), b", "\(secret)", "x\n\(secret)\n"] {
      let clean = Redaction.text(text)
      #expect(!clean.contains(secret) && !clean.contains(secret.dropFirst(8).prefix(16)))
    }
  }

  @Test func `public keys and fingerprints keep their beginnings, private keys and invites nothing`() throws {
    #expect(Redaction.text(KeyText.relay.text(key)) == "mnedc-relay:AwoRGB8m...")
    #expect(Redaction.text("key SHA256:" + KeyText.relay.text(key).dropFirst(12)) == "key SHA256:AwoRGB8m...")
    #expect(Redaction.text("\(KeyText.privateKey.text(key))!") == "mnedc-private-key:(left out)!")
    let invite = try InviteText(relayKey: key, token: [UInt8](repeating: 9, count: 16), servers: ["a:1"])
    #expect(Redaction.text("mnedc-join \(invite)") == "mnedc-join mnedc-invite:(left out)")
    #expect(Redaction.text("mnedc-invite:short") == "mnedc-invite:(left out)")
  }

  @Test(arguments: [
    "", "a\n\nb\n", "/usr/lib/x86_64-linux-gnu/a/b/c/d/e/f/g/h/i/j",
    "fd12:3456:789a:bcde:f012:3456:789a:bcde/96 on eth0",
    "kitchen-hub.example at 10.0.0.2 (schön)", #"{"device_id": "cam-1"}"#,
  ])
  func `what is no key stays as it is`(text: String) {
    #expect(Redaction.text(text) == text)
  }

  @Test func `a command that was changed is left out, and JSON stays JSON`() {
    #expect(
      Redaction.text("reloaded: join.on-peer is /bin/tell --token abc, was none")
        == "reloaded: join.on-peer (left out)")
    #expect(Redaction.text(#"  "text": "join.on-peer is abc","#) == #"  "text": "join.on-peer (left out)","#)
  }

  @Test func `hexadecimal and ordinary base64 are cut as well`() {
    #expect(Redaction.text(String(repeating: "0a", count: 32)) == "0a0a0a0a...")
    #expect(Redaction.text(String(repeating: "Ab+", count: 14) + "A=") == "Ab+Ab+Ab...=")
  }
}
