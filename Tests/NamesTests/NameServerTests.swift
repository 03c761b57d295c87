import Names
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite struct NameServerTests {
  /// A server on loopback for the names of `zone()`; a search finds `late`, and nobody else.
  private final class Server: @unchecked Sendable {
    // `@unchecked`: the server belongs to the thread of its loop.
    let address: SocketAddress
    private let thread: LoopThread
    private let server: LoopBound<(NameServer, UInt16)>

    init() throws {
      thread = try LoopThread()
      let loop = thread.loop
      let made = thread.run { () -> LoopBound<(NameServer, UInt16)>? in
        var place: NameServer?
        let server = NameServer(zone(), on: loop, port: 0) { label, reply in
          guard label == "late" else { return reply(label == "gone" ? .nobody : .unclear) }
          place?.zone.table.add("late", IPv4Address("10.0.0.9")!)
          reply(.found)
        }
        place = server
        guard (try? server.serve(at: ["127.0.0.1"])) != nil, let port = server.ports.first else { return nil }
        return LoopBound((server, port))
      }
      server = try #require(made ?? nil)
      address = try #require(SocketAddress(numeric: "127.0.0.1", port: server.value.1))
    }

    deinit {
      thread.run { [server] in server.value.0.stop() }
      thread.stop()
    }

    func askByUDP(_ message: [UInt8]) throws -> [UInt8] {
      let socket = try UDPSocket(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
      try socket.send(message, to: address)
      let deadline = Instant.now().advanced(by: generousWait)
      guard try socket.descriptor.wait(for: .readable, until: deadline) else { return [] }
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = try buffer.withUnsafeMutableBytes { try socket.receive(into: $0)?.count ?? 0 }
      return Array(buffer[..<count])
    }
  }

  private func framed(_ message: [UInt8]) -> [UInt8] { words(UInt16(message.count)) + message }

  private func receive(_ client: StreamClient) throws -> [UInt8] {
    let length = try client.receive(2)
    return length.count < 2 ? [] : try client.receive(Int(length[0]) << 8 | Int(length[1]))
  }

  private func code(_ answer: [UInt8]) -> UInt8? { answer.count > 3 ? answer[3] & 0xF : nil }

  @Test func `names are answered by UDP and by TCP alike`() throws {
    let server = try Server()
    let message = question("cam.mnedc", id: 77)
    let answer = try server.askByUDP(message)
    #expect(Array(answer.prefix(2)) == [0, 77] && Array(answer.suffix(4)) == [10, 0, 0, 3])
    let client = try StreamClient(to: server.address)
    try client.send(framed(message))
    #expect(try receive(client) == answer)
  }

  @Test func `a name that is not known is searched, and only one that nobody has does not exist`() throws {
    let server = try Server()
    #expect(try Array(server.askByUDP(question("late.mnedc")).suffix(4)) == [10, 0, 0, 9])
    #expect(try code(server.askByUDP(question("gone.mnedc"))) == 3)
    #expect(try code(server.askByUDP(question("other.mnedc"))) == 2)
  }

  @Test func `questions on one connection are answered in order, even in pieces`() throws {
    let server = try Server()
    let client = try StreamClient(to: server.address)
    let messages = (1...20).map { question("cam.mnedc", id: UInt16($0)) }
    let bytes = messages.flatMap(framed)
    try client.send(bytes.prefix(5))
    try client.send(bytes.dropFirst(5))
    for id in 1...20 { #expect(try Array(receive(client).prefix(2)) == [0, UInt8(id)]) }
  }

  @Test func `a message that is too long ends its connection`() throws {
    let server = try Server()
    let client = try StreamClient(to: server.address)
    try client.send(words(5000) + [1, 2, 3])
    #expect((try? client.receive()) ?? [] == [])
  }

  @Test func `connections that ask nothing keep nobody out`() throws {
    let server = try Server()
    let idle = try (0..<50).map { _ in try StreamClient(to: server.address) }
    let client = try StreamClient(to: server.address)
    try client.send(framed(question("cam.mnedc")))
    #expect(try code(receive(client)) == 0)
    #expect(try idle[0].receive() == [])
  }
}
