import TestSupport
import Testing
import Wire

@Suite struct HostileMessageTests {
  private func decode(_ json: String) throws -> ControlMessage? {
    var json = json
    return try json.withUTF8 { try ControlMessage.decode(UnsafeRawBufferPointer($0)) }
  }

  @Test func `a refusal's text cannot write to a terminal or begin a line`() throws {
    let message = try decode(#"{"type":"refused","code":"other","text":"a\u001b[31mb\nMAINPID=1\u202ec"}"#)
    #expect(message == .refused(Refusal(.other, "a [31mb MAINPID=1 c")))
    guard case .refused(let refusal) = message else { return }
    #expect(refusal.text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E })
  }

  @Test(arguments: [
    ("10.0.0.0/24", "10.0.0.2", "10.0.0.1", true), ("10.0.0.0/24", "10.0.0.1", "10.0.0.1", true),
    ("128.0.0.0/1", "130.1.1.1", "130.1.1.2", false), ("127.0.0.0/8", "127.0.0.9", "127.0.0.1", false),
    ("224.0.0.0/8", "224.0.0.9", "224.0.0.1", false), ("0.0.0.0/8", "0.0.0.9", "0.0.0.1", false),
    ("10.5.0.0/24", "10.5.0.0", "10.5.0.1", false), ("10.5.0.0/24", "10.5.0.255", "10.5.0.1", false),
    ("10.5.0.0/24", "10.6.0.2", "10.5.0.1", false), ("10.5.0.0/24", "10.5.0.2", "10.6.0.1", false),
    ("10.5.0.0/31", "10.5.0.1", "10.5.0.0", false),
  ])
  func `a welcome is plausible only with addresses for hosts`(
    pool: String, address: String, relay: String, isPlausible: Bool
  ) throws {
    let welcome = Welcome(
      address: try #require(IPv4Address(address)), pool: try #require(IPv4Prefix(pool)),
      relayAddress: try #require(IPv4Address(relay)), keepalive: 1000)
    #expect(welcome.isPlausible == isPlausible)
  }

  @Test func `the longest part of an update fits a frame`() {
    let longest = String(repeating: "x", count: DeviceID.maximumLength)
    let peers = (0..<PeerUpdate.maximumPeers).map {
      testPeer(IPv4Address(bits: 0xDFFF_FFFF - UInt32($0)), longest)
    }
    let left = (0..<PeerUpdate.maximumLeft).map { IPv4Address(bits: 0xDFFF_FFFF - UInt32($0)) }
    let update = PeerUpdate(revision: .max, since: .max, joined: peers, left: left)
    #expect(ControlMessage.peers(update).frame().count + 16 <= FrameHeader.maximumFrame)
  }
}
