import SystemPackage
import Testing
import Wire

@testable import Tun

@Suite struct NetlinkAnswerTests {
  /// A message in the host's byte order.
  private func message(
    _ type: UInt16, flags: UInt16 = 0, sequence: UInt32 = 7, length: UInt32? = nil, _ content: [UInt8]
  ) -> [UInt8] {
    let padding = [UInt8](repeating: 0, count: (4 - content.count & 3) & 3)
    return host(length ?? UInt32(16 + content.count)) + host(type) + host(flags) + host(sequence) + host(UInt32(0))
      + content + padding
  }

  private func host(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value) { Array($0) }
  }

  private func attribute(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
    host(UInt16(4 + value.count)) + host(type) + value + [UInt8](repeating: 0, count: (4 - value.count & 3) & 3)
  }

  private enum Outcome: Equatable {
    case more, end
    case failure(NetlinkFailure)
  }

  private func read(_ bytes: [UInt8]) -> (Outcome, [UInt16]) {
    var types: [UInt16] = []
    var answer = NetlinkAnswer(sequence: 7)
    do throws(NetlinkFailure) {
      let isEnd = try answer.read(bytes.span.bytes) { type, _ in types.append(type) }
      return (isEnd ? .end : .more, types)
    } catch {
      return (.failure(error), types)
    }
  }

  @Test func `a list ends with its end, not with its datagram`() {
    let first = message(20, flags: 2, [1, 2, 3]) + message(20, flags: 2, [])
    #expect(read(first) == (.more, [20, 20]))
    #expect(read(first + message(3, flags: 2, host(CInt(0)))) == (.end, [20, 20]))
    #expect(read(message(3, [])) == (.end, []))
  }

  @Test func `an acknowledgement is an end and an error is thrown`() {
    #expect(read(message(2, host(CInt(0)) + message(19, []))) == (.end, []))
    #expect(read(message(2, host(CInt(-22)))) == (.failure(.init(error: .invalidArgument, text: nil)), []))
    #expect(read(message(3, host(CInt(-12)))) == (.failure(.init(error: .noMemory, text: nil)), []))
    #expect(read(message(3, flags: 0x10, host(CInt(0)))) == (.failure(.init(error: .interrupted, text: nil)), []))
  }

  @Test func `a list that has changed meanwhile is read to its end and then refused, whichever message says so`() {
    let interrupted = Outcome.failure(.init(error: .interrupted, text: nil))
    #expect(read(message(20, flags: 0x12, [1]) + message(20, flags: 2, [2])) == (.more, [20, 20]))
    #expect(read(message(20, flags: 0x12, [1]) + message(3, flags: 2, host(CInt(0)))) == (interrupted, [20]))
    var answer = NetlinkAnswer(sequence: 7)
    #expect(throws: Never.self) { try answer.read(message(20, flags: 0x12, []).span.bytes) { _, _ in } }
    #expect(throws: NetlinkFailure.self) { try answer.read(message(3, host(CInt(0))).span.bytes) { _, _ in } }
  }

  @Test func `answers to another request are passed over`() {
    #expect(read(message(20, sequence: 6, []) + message(2, sequence: 8, host(CInt(-1)))) == (.more, []))
  }

  @Test func `the text of an error is found behind a whole request and behind its header`() {
    let text = attribute(3, [9, 9]) + attribute(1, Array("no such thing".utf8) + [0])
    let request = message(19, [UInt8](repeating: 1, count: 17))
    let failure = Outcome.failure(.init(error: .invalidArgument, text: "no such thing"))
    #expect(read(message(2, flags: 0x300, host(CInt(-22)) + request.prefix(16) + text)).0 == failure)
    #expect(read(message(2, flags: 0x200, host(CInt(-22)) + request + text)).0 == failure)
    #expect(read(message(3, flags: 0x200, host(CInt(-22)) + text)).0 == failure)
  }

  @Test func `wrong lengths are errors and never read beyond the end`() {
    let malformed = Outcome.failure(.init(error: .badMessage, text: nil))
    #expect(read([1, 2, 3]).0 == malformed)
    #expect(read(message(20, length: 15, [])).0 == malformed)
    #expect(read(message(20, length: 17, [])).0 == malformed)
    #expect(read(message(20, length: .max, [])).0 == malformed)
    #expect(read(message(2, [0, 0])).0 == malformed)
    let plain = Outcome.failure(.init(error: .invalidArgument, text: nil))
    #expect(read(message(2, flags: 0x200, host(CInt(-22)) + message(19, length: .max, []))).0 == plain)
    let beyond = host(UInt16(99)) + host(UInt16(1))
    #expect(read(message(2, flags: 0x300, host(CInt(-22)) + message(19, []) + beyond)).0 == plain)
    #expect(read(message(2, host(CInt.min))).0 == .failure(.init(error: .init(rawValue: .max), text: nil)))
  }

  @Test func `an address is read with its broadcast address`() throws {
    let content =
      [2, 24, 0, 0] + host(UInt32(5)) + attribute(1, [10, 0, 0, 2]) + attribute(2, [10, 0, 0, 2])
      + attribute(4, [10, 0, 0, 255])
    let expected = RouteNetlink.Address(
      host: try #require(HostNetwork.Prefix(host: "10.0.0.2")), prefixLength: 24, broadcast: IPv4Address("10.0.0.255"))
    #expect(RouteNetlink.Address(content.span.bytes, of: 5) == expected)
    #expect(RouteNetlink.Address(content.span.bytes, of: 6) == nil)
    for count in 0..<content.count where (count - 8) % 8 != 0 || count < 24 {
      #expect(RouteNetlink.Address(Array(content[..<count]).span.bytes, of: 5) == nil, "\(count) bytes")
    }
  }
}
