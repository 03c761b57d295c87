import TestSupport
import Testing
import Wire

@Suite struct PureACKTests {
  private static let here = IPv4Address(bits: 0x0A00_0002)
  private static let there = IPv4Address(bits: 0x0A00_0003)
  private static let here6 = IPv6Address(high: 0xFD00_0000_0000_0000, low: 2)
  private static let there6 = IPv6Address(high: 0xFD00_0000_0000_0000, low: 3)

  private static func read(_ packet: some Sequence<UInt8>) -> PureACK? {
    Array(packet).withUnsafeBytes { PureACK($0.bytes) }
  }

  /// Whether `latter` may take the place of `former`.
  private static func supersedes(_ latter: [UInt8], _ former: [UInt8]) -> Bool {
    guard let latter = read(latter), let former = read(former) else { return false }
    return latter.supersedes(former)
  }

  private static func ack(_ number: UInt32, sequence: UInt32 = 7) -> [UInt8] {
    segment(from: here, to: there, sequence: sequence, acknowledgment: number, options: timestamps(number))
  }

  private static func changed(_ packet: [UInt8], _ place: Int, _ byte: UInt8) -> [UInt8] {
    var packet = packet
    packet[place] = byte
    return packet
  }

  @Test func `a later acknowledgment supersedes an earlier one, with timestamps or without`() {
    #expect(Self.supersedes(Self.ack(200), Self.ack(100)))
    // Numbers go round.
    #expect(Self.supersedes(Self.ack(5), Self.ack(0xFFFF_FFF0)))
    for options in [[], timestamps()] {
      let packets = [UInt32(1), 2].map { number in
        (
          segment(from: Self.here, to: Self.there, acknowledgment: number, options: options),
          segment(from: Self.here6, to: Self.there6, acknowledgment: number, options: options)
        )
      }
      #expect(Self.supersedes(packets[1].0, packets[0].0) && Self.supersedes(packets[1].1, packets[0].1))
      #expect(packets.allSatisfy { $0.0.count <= PureACK.maximumSize && $0.1.count <= PureACK.maximumSize })
      #expect(!Self.supersedes(packets[1].0, packets[0].1))
    }
    // Another window is what the later one says.
    #expect(Self.supersedes(Self.changed(Self.ack(200), 35, 9), Self.ack(100)))
  }

  @Test func `one that acknowledges nothing more supersedes none`() {
    #expect(!Self.supersedes(Self.ack(100), Self.ack(100)))
    #expect(!Self.supersedes(Self.ack(99), Self.ack(100)))
    // Something was sent in between.
    #expect(!Self.supersedes(Self.ack(200, sequence: 8), Self.ack(100)))
  }

  @Test func `what says more than an acknowledgment is none`() {
    #expect(Self.read(Self.ack(100)) != nil)
    for flags: UInt8 in [0x11, 0x12, 0x14, 0x18, 0x30, 0x50, 0x90, 0x00, 0x02] {
      #expect(Self.read(Self.changed(Self.ack(100), 33, flags)) == nil, "flags \(flags)")
    }
    let sack: [UInt8] = [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]
    for options in [sack, timestamps() + sack, [UInt8](repeating: 1, count: 4)] {
      #expect(Self.read(segment(from: Self.here, to: Self.there, acknowledgment: 1, options: options)) == nil)
    }
    #expect(Self.read(segment(from: Self.here, to: Self.there, acknowledgment: 1, payload: 1)) == nil)
    for end in 0..<Self.ack(1).count { #expect(Self.read(Self.ack(1)[..<end]) == nil) }
  }

  @Test func `one of another connection, or with another traffic class, supersedes none`() {
    let former = Self.ack(100)
    // The traffic class, both addresses and both ports.
    for place in [1] + Array(12..<24) {
      #expect(!Self.supersedes(Self.changed(Self.ack(200), place, 0x7F), former), "byte \(place)")
    }
    let former6 = segment(from: Self.here6, to: Self.there6, acknowledgment: 1)
    let latter6 = segment(from: Self.here6, to: Self.there6, acknowledgment: 2)
    #expect(Self.supersedes(latter6, former6))
    #expect(!Self.supersedes(Self.changed(latter6, 1, 0x30), former6))
  }
}
