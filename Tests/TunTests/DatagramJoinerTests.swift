import Testing
import Wire

@testable import Tun

@Suite struct DatagramJoinerTests {
  /// A record with a datagram as a TUN gives it: its checksum is still to be completed.
  private static func record(
    _ payload: [UInt8], port: UInt16 = 9, isIPv4: Bool = true, identification: UInt16 = 7, fragment: UInt16 = 0,
    service: UInt8 = 0
  ) -> [UInt8] {
    let udpLength = UInt16(8 + payload.count)
    var packet: [UInt8]
    if isIPv4 {
      packet = [0x45, service] + big(20 + udpLength) + big(identification) + big(fragment) + [64, 17, 0, 0]
      packet += [10, 0, 0, 2, 10, 0, 0, 3]
      var checksum = InternetChecksum()
      packet.withUnsafeBytes { checksum.add($0.bytes) }
      packet.replaceSubrange(10..<12, with: big(checksum.value))
    } else {
      packet = [0x60, 0, 0, service] + big(udpLength) + [17, 64]
      packet += [0xFD] + [UInt8](repeating: 0, count: 14) + [2] + [0xFD] + [UInt8](repeating: 0, count: 14) + [3]
    }
    let transport = packet.count
    packet += big(1000) + big(port) + big(udpLength) + [0, 0] + payload
    var header = OffloadHeader()
    header.flags = OffloadHeader.needsChecksum
    header.headerLength = UInt16(transport + 8)
    header.checksumStart = UInt16(transport)
    header.checksumOffset = 6
    // The pseudo-header's sum, as a socket leaves it.
    var checksum = InternetChecksum()
    packet.withUnsafeBytes { checksum.add($0.bytes.extracting(isIPv4 ? 12..<20 : 8..<40)) }
    checksum.add(17)
    checksum.add(udpLength)
    packet.replaceSubrange(transport + 6..<transport + 8, with: big(~checksum.value))
    return bytes(header) + packet
  }

  private static func big(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] }

  private static func bytes(_ header: OffloadHeader) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: OffloadHeader.size)
    bytes.withUnsafeMutableBytes { header.write(to: $0) }
    return bytes
  }

  /// What is written for these records, one behind the other.
  private static func join(_ records: [[UInt8]]) -> [[UInt8]] {
    var joiner = DatagramJoiner()
    var written: [[UInt8]] = []
    for record in records {
      record.withUnsafeBytes { record in
        if joiner.add(record) { return }
        if let joined = joiner.take() { written.append(Array(joined)) }
        if !joiner.begin(with: record) { written.append(Array(record)) }
      }
    }
    if let joined = joiner.take() { written.append(Array(joined)) }
    return written
  }

  /// The packets that these records stand for, checksums complete.
  private static func packets(_ records: [[UInt8]]) -> [[UInt8]] {
    let splitter = SuperPacketSplitter()
    var packets: [[UInt8]] = []
    for record in records {
      record.withUnsafeBytes { record in
        let isValid = splitter.split(
          record.bytes.extracting(OffloadHeader.size..<record.count), with: OffloadHeader(parsing: record.bytes)!
        ) { packet in packet.withUnsafeBytes { packets.append(Array($0)) } }
        #expect(isValid)
      }
    }
    return packets
  }

  /// The same for records that may be damaged, without what joining may change: identifications, and checksums that
  /// were wrong.
  private static func contents(_ records: [[UInt8]]) -> [[UInt8]] {
    let splitter = SuperPacketSplitter()
    var contents: [[UInt8]] = []
    for record in records {
      var packets: [[UInt8]] = []
      let isValid = record.withUnsafeBytes { record in
        splitter.split(
          record.bytes.extracting(OffloadHeader.size..<record.count), with: OffloadHeader(parsing: record.bytes)!
        ) { packet in packet.withUnsafeBytes { packets.append(Array($0)) } }
      }
      for var packet in isValid ? packets : [record] {
        for offset in packet[0] >> 4 == 4 ? [4, 5, 10, 11, 26, 27] : [46, 47] where offset < packet.count {
          packet[offset] = 0
        }
        contents.append(packet)
      }
    }
    return contents
  }

  @Test(arguments: [true, false], [1, 200, 1372])
  func `datagrams of one flow become one packet, of which the same datagrams are made`(isIPv4: Bool, size: Int) {
    let records = (0..<20).map { number in
      Self.record(
        [UInt8](repeating: UInt8(number), count: number == 19 ? max(1, size / 2) : size), isIPv4: isIPv4,
        identification: UInt16(100 + number))
    }
    let joined = Self.join(records)
    #expect(joined.count == 1)
    #expect(Self.packets(joined) == Self.packets(records))
  }

  @Test func `no more are joined than a kernel takes, or an IP packet holds`() {
    let small = (0..<200).map { Self.record([1, 2, 3], identification: UInt16($0)) }
    #expect(Self.join(small).count == 4)
    #expect(Self.packets(Self.join(small)).count == 200)
    let large = (0..<60).map { Self.record([UInt8](repeating: 5, count: 1500), identification: UInt16($0)) }
    #expect(Self.join(large).count == 2)
    #expect(Self.packets(Self.join(large)) == Self.packets(large))
  }

  @Test func `only what belongs together is joined`() {
    let first = Self.record([1, 2, 3, 4])
    var complete = first
    complete[0] = 0
    var damaged = first
    damaged[OffloadHeader.size + 8] ^= 1
    let others = [
      Self.record([1, 2, 3, 4, 5]), Self.record([1, 2, 3, 4], port: 10), Self.record([1, 2, 3, 4], service: 1),
      Self.record([1, 2, 3, 4], fragment: 0x2000), Self.record([]), Self.record([1, 2, 3, 4], isIPv4: false), complete,
      damaged, Array(first.dropLast()), [],
    ]
    for other in others {
      #expect(Self.join([first, other]) == [first, other])
    }
    // Behind a shorter one nothing can follow.
    let short = Self.record([9])
    #expect(Self.join([first, short, first]).count == 2)
  }

  @Test func `one alone is written as it came`() {
    let record = Self.record([1, 2, 3])
    #expect(Self.join([record]) == [record])
    let tunnelled = Self.record([1, 2, 3], port: 4789)
    #expect(Self.join([tunnelled, tunnelled]) == [tunnelled, tunnelled])
  }

  @Test func `whatever comes, nothing is lost`() {
    var random = SeededGenerator(state: 1)
    for _ in 0..<2000 {
      let records = (0..<Int.random(in: 1...12, using: &random)).map { _ in
        var record = Self.record(
          [UInt8](repeating: 7, count: Int.random(in: 0...4, using: &random)), isIPv4: .random(using: &random))
        if Int.random(in: 0..<4, using: &random) == 0 {
          record[Int.random(in: 0..<record.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
        }
        return record
      }
      #expect(Self.contents(Self.join(records)) == Self.contents(records))
    }
  }
}
