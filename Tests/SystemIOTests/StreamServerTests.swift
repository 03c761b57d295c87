import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite struct StreamServerTests {
  /// Sends back what it receives; `claim` is what its first byte says.
  private final class Echo: StreamConnection {
    private var input: [UInt8] = []

    override var claim: Int? { input.first.map { $0 == 0 ? nil : Int($0) } ?? 1 }

    override func received(_ bytes: UnsafeRawBufferPointer) {
      input += bytes
      send(Array(bytes))
    }
  }

  /// A server with room for four connections.
  private final class Server: @unchecked Sendable {
    // `@unchecked`: the server belongs to the thread of its loop.
    let address: SocketAddress
    private let thread: LoopThread
    private var server: StreamServer<Echo>?

    init(deadline: Duration? = nil) throws {
      thread = try LoopThread()
      let socket = try TCPListener(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)))
      address = socket.address
      let (loop, listening) = (thread.loop, Box(socket))
      thread.run { [self] in
        let server = StreamServer<Echo>(on: loop, maximum: 4, batch: 2) { socket, _ in
          let echo = Echo(socket, on: loop)
          echo.end(after: deadline)
          return echo
        }
        _ = try? server.listen(on: .tcp(listening.take()))
        self.server = server
      }
    }

    deinit { thread.stop() }

    var count: Int { thread.run { [self] in server?.connections.count ?? 0 } ?? 0 }
    func stop() { thread.run { [self] in server?.stop() } }
    func send(_ bytes: [UInt8]) {
      thread.run { [self] in
        for connection in server?.connections ?? [] { connection.send(bytes) }
      }
    }

    /// Hands the socket to the loop's thread.
    private final class Box: @unchecked Sendable {
      private var listener: TCPListener?
      init(_ listener: consuming TCPListener) { self.listener = consume listener }
      func take() -> TCPListener { listener.take()! }
    }
  }

  private func connect(_ server: Server, saying byte: UInt8) throws -> StreamClient {
    let client = try StreamClient(to: server.address)
    try client.send([byte])
    #expect(try client.receive(1) == [byte])
    return client
  }

  @Test func `the connection with the lowest claim gives way to a new one`() throws {
    let server = try Server()
    let clients = try [3, 2, 3, 0].map { try connect(server, saying: $0) }
    let new = try connect(server, saying: 5)
    #expect(try clients[1].receive() == [])
    let another = try connect(server, saying: 5)
    #expect(try clients[0].receive() == [])
    #expect(server.count == 4)
    withExtendedLifetime((new, another)) {}
    server.stop()
  }

  @Test func `new connections wait while all others need their places`() throws {
    let server = try Server()
    var clients = try (0..<4).map { _ in try connect(server, saying: 0) }
    let new = try StreamClient(to: server.address)
    try new.send([9])
    #expect(server.count == 4)
    clients.removeLast()
    #expect(try new.receive(1) == [9])
    server.stop()
  }

  @Test func `a connection ends at its deadline`() throws {
    let server = try Server(deadline: .milliseconds(50))
    let client = try StreamClient(to: server.address)
    #expect(try client.receive() == [])
    #expect(wait { server.count == 0 })
    server.stop()
  }

  @Test func `what the socket has no room for is sent once it has`() throws {
    let server = try Server()
    let client = try connect(server, saying: 1)
    let bytes = (0..<4 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    server.send(Array(bytes))
    #expect(try client.receive(bytes.count) == bytes)
    server.stop()
  }
}
