import Testing
import Tun
import Wire

/// Hostile input for the splitter and the divider: valid super-packets, changed at random but alike in every run.
@Suite struct SuperPacketFuzzTests {
  private func seeds() -> [(packet: [UInt8], header: OffloadHeader)] {
    var tcp4 = TestPacket(payload: TestPacket.payload(count: 500))
    tcp4.transportOptions = bytes("0101080a 11111111 22222222")
    var udp4 = TestPacket(transport: .udp, payload: TestPacket.payload(count: 300))
    udp4.options = bytes("94040000")
    var tcp6 = TestPacket.ipv6(.tcp)
    tcp6.payload = TestPacket.payload(count: 400)
    var udp6 = TestPacket.ipv6(.udp)
    udp6.payload = TestPacket.payload(count: 333)
    udp6.firstExtension = 0
    udp6.options = bytes("3c00 0104 0000 0000 1100 0104 0000 0000")
    return [tcp4, udp4, tcp6, udp6].flatMap { packet in
      [nil, 64].map { (packet.packet, packet.header(segmentSize: $0)) }
    }
  }

  private static let edges: [UInt8] = [0, 1, 4, 5, 8, 15, 16, 17, 0x20, 0x3F, 0x40, 0x7F, 0x80, 0xFE, 0xFF]

  @Test func `no input makes the splitter fail, and what it accepts comes out whole`() {
    let splitter = TestSplitter()
    let seeds = seeds()
    var random = SeededGenerator(state: 2024)
    var accepted = 0
    for _ in 0..<30_000 {
      var (packet, header) = seeds.randomElement(using: &random)!
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        mutate(&packet, &random)
      }
      if Bool.random(using: &random) { mutate(&header, &random) }
      if Bool.random(using: &random) { repair(&packet) }
      guard let result = splitter.split(packet, with: header) else { continue }
      accepted += 1
      check(result, of: packet, header)
    }
    // Otherwise the mutations are too coarse to reach anything.
    #expect(accepted > 5000)
  }

  @Test func `any bytes at all are refused or pass`() {
    let splitter = TestSplitter()
    var random = SeededGenerator(state: 7)
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...120, using: &random)
      var packet = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      if count > 6 { packet[0] = [0x45, 0x46, 0x4F, 0x60].randomElement(using: &random)! }
      repair(&packet)
      var header = (0..<10).map { _ in UInt8.random(in: 0...64, using: &random) }
      header[0] &= 3
      header[1] = [0, 1, 4, 5, 0x81].randomElement(using: &random)!
      for offset in [3, 5, 7, 9] { header[offset] = 0 }
      guard let parsed = OffloadHeader(parsing: header.span.bytes) else { continue }
      _ = splitter.split(packet, with: parsed)
    }
  }

  @Test func `no input makes the divider fail, and its parts stand for what the whole stands for`() throws {
    let splitter = TestSplitter()
    let divider = TestDivider()
    let seeds = seeds()
    var random = SeededGenerator(state: 2025)
    var divided = 0
    for _ in 0..<20_000 {
      var (packet, header) = seeds.randomElement(using: &random)!
      for _ in 0..<Int.random(in: 0...2, using: &random) { mutate(&packet, &random) }
      if random.next() % 4 == 0 { mutate(&header, &random) }
      if Bool.random(using: &random) { repair(&packet) }
      let limit = Int.random(in: -10...600, using: &random)
      guard let parts = divider.divide(packet, with: header, limit: limit) else { continue }
      divided += 1
      let whole = try #require(splitter.split(packet, with: header))
      #expect(try splitter.split(parts) == whole.map(normalized))
    }
    #expect(divided > 3000)
  }

  @Test func `any bytes at all are divided or left alone`() {
    let divider = TestDivider()
    var random = SeededGenerator(state: 8)
    for _ in 0..<20_000 {
      var record = (0..<Int.random(in: 0...150, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if record.count > 10 { record[10] = [0x45, 0x46, 0x60].randomElement(using: &random)! }
      if record.count > 1 { record[1] = [0, 1, 4, 5, 0x81].randomElement(using: &random)! }
      for limit in [Int.min, 0, 41, 60, Int.max] { _ = divider.divide(record, limit: limit) }
    }
  }

  private func mutate(_ packet: inout [UInt8], _ random: inout SeededGenerator) {
    guard !packet.isEmpty else { return }
    // Mostly among the headers, where it matters.
    let index = Int.random(in: 0..<min(packet.count, random.next() % 4 == 0 ? .max : 80), using: &random)
    switch random.next() % 8 {
    case 0: packet[index] = Self.edges.randomElement(using: &random)!
    case 1: packet[index] ^= 1 << (random.next() % 8)
    case 2: packet[index] = UInt8.random(in: 0...255, using: &random)
    case 3: packet[index] &+= 1
    case 4: packet.removeLast(min(packet.count, Int.random(in: 1...90, using: &random)))
    case 5: packet.append(contentsOf: [UInt8](repeating: 0xAA, count: Int.random(in: 1...90, using: &random)))
    case 6: packet.remove(at: index)
    default: packet.insert(Self.edges.randomElement(using: &random)!, at: index)
    }
  }

  private func mutate(_ header: inout OffloadHeader, _ random: inout SeededGenerator) {
    let words: [UInt16] = [0, 1, 6, 16, 19, 20, 21, 24, 40, 48, 56, 500, 65_534, 65_535]
    let word = words.randomElement(using: &random)!
    switch random.next() % 6 {
    case 0: header.flags = UInt8(random.next() % 5)
    case 1: header.segmentation.rawValue = [0, 1, 3, 4, 5, 0x81, 0x84, 0x85].randomElement(using: &random)!
    case 2: header.headerLength = word
    case 3: header.segmentSize = word
    case 4: header.checksumStart = word
    default: header.checksumOffset = word
    }
  }

  /// Makes length and checksum of the IP header right, so that what lies behind them is looked at.
  private func repair(_ packet: inout [UInt8]) {
    guard packet.count >= 40 else { return }
    if packet[0] >> 4 == 6 {
      packet[4] = UInt8((packet.count - 40) >> 8)
      packet[5] = UInt8((packet.count - 40) & 0xFF)
      return
    }
    let length = Int(packet[0] & 15) * 4
    guard length >= 20, length <= packet.count else { return }
    packet[2] = UInt8(packet.count >> 8)
    packet[3] = UInt8(packet.count & 0xFF)
    packet[10] = 0
    packet[11] = 0
    let checksum = ~TestPacket.sum(Array(packet[..<length]))
    packet[10] = UInt8(checksum >> 8)
    packet[11] = UInt8(checksum & 0xFF)
  }

  private func check(_ result: [[UInt8]], of packet: [UInt8], _ header: OffloadHeader) {
    guard header.segmentation != .none else {
      #expect(result.map(\.count) == [packet.count])
      return
    }
    let isIPv4 = packet[0] >> 4 == 4
    let isTCP = header.segmentation.kind != .udpL4
    var payload: [UInt8] = []
    var start = isIPv4 ? Int(packet[0] & 15) * 4 : 40
    if !isIPv4 {
      var next = packet[6]
      while next == 0 || next == 60 {
        next = packet[start]
        start += Int(packet[start + 1]) * 8 + 8
      }
    }
    let headers = start + (isTCP ? Int(packet[start + 12] >> 4) * 4 : 8)
    for segment in result {
      let length = segment.count - start
      let pseudo = Array(segment[isIPv4 ? 12..<20 : 8..<40]) + [UInt8(length >> 8), UInt8(length & 0xFF)]
      #expect(TestPacket.sum(pseudo + [0, isTCP ? 6 : 17] + segment[start...]) == 0xFFFF)
      if isIPv4 { #expect(TestPacket.sum(Array(segment[..<start])) == 0xFFFF) }
      #expect(segment.count - headers <= Int(header.segmentSize))
      #expect(segment[start..<start + 4] == packet[start..<start + 4])
      payload += segment[headers...]
    }
    #expect(payload == Array(packet[headers...]))
  }
}
