import Config
import Control
import Logging
import Metrics
import SystemIO
import TestSupport
import Testing

@Suite struct MetricsServerTests {
  /// A server on loopback that counts how often it was asked to collect.
  private final class Server: @unchecked Sendable {
    // `@unchecked`: all but what is set once belongs to the thread of the loop.
    let setting: ServerAddress
    let address: SocketAddress
    private let thread: LoopThread
    private var server: MetricsServer?
    private var collections = 0

    init() throws {
      // The kernel chooses a port, which nobody else takes at once.
      let free = try TCPListener(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0))).address
      (address, setting) = (free, ServerAddress(host: free.host, port: free.port))
      thread = try LoopThread()
      let loop = thread.loop
      thread.run { [self] in
        server = MetricsServer(
          on: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, onChange: { _ in }
        ) { [unowned self] reply in
          collections += 1
          var report = MetricsReport()
          report.gauge("test_number", "A number.", Double(collections))
          reply(report)
        }
      }
    }

    deinit { thread.stop() }

    func serve(at addresses: [ServerAddress]) -> [ServerAddress] {
      thread.run { [self] in
        server?.serve(at: addresses)
        return server?.served ?? []
      } ?? []
    }

    var collectionCount: Int { thread.run { [self] in collections } ?? 0 }
    func stop() { thread.run { [self] in server?.stop() } }

    /// What comes for the request, whole.
    func ask(_ request: String) throws -> String {
      let client = try StreamClient(to: address)
      try client.send(request.utf8)
      return String(decoding: try client.receive(), as: UTF8.self)
    }
  }

  private static let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

  @Test func `the page has what was collected, and requests in quick succession get the same`() throws {
    let server = try Server()
    #expect(server.serve(at: [server.setting]) == [server.setting])
    let first = try server.ask(Self.request)
    #expect(first.hasPrefix("HTTP/1.1 200 OK\r\n") && first.contains("\ntest_number 1"))
    for _ in 0..<20 { #expect(try server.ask(Self.request).hasPrefix("HTTP/1.1 200 OK\r\n")) }
    #expect(server.collectionCount < 20)
    server.stop()
  }

  @Test func `a request that is wrong is answered, and the connection ends`() throws {
    let server = try Server()
    _ = server.serve(at: [server.setting])
    #expect(try server.ask("nonsense\r\n\r\n").hasPrefix("HTTP/1.1 400 "))
    #expect(try server.ask("GET / HTTP/1.0\r\n\r\n").hasPrefix("HTTP/1.1 404 "))
    #expect(try server.ask("DELETE /metrics HTTP/1.0\r\n\r\n").contains("\r\nAllow: GET, HEAD\r\n"))
    server.stop()
  }

  @Test func `connections that ask nothing keep nobody out`() throws {
    let server = try Server()
    _ = server.serve(at: [server.setting])
    let idle = try (0..<50).map { _ in try StreamClient(to: server.address) }
    #expect(try server.ask(Self.request).hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(try idle[0].receive() == [])
    server.stop()
  }

  @Test func `it goes on without an address that another program has, and moves to others`() throws {
    let server = try Server()
    let other = try Server()
    #expect(other.serve(at: [other.setting]) == [other.setting])
    #expect(server.serve(at: [server.setting, other.setting]) == [server.setting])
    #expect(server.serve(at: []) == [])
    #expect(throws: (any Error).self) { try server.ask(Self.request) }
    #expect(try other.ask(Self.request).hasPrefix("HTTP/1.1 200 OK\r\n"))
    server.stop()
    other.stop()
  }
}
