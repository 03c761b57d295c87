public import SystemIO
public import SystemPackage
internal import Wire

/// Answers questions for names by UDP and TCP at this device's virtual addresses. Only the host itself is answered: every
/// device of the network has a server of its own. Owned by the main thread.
public final class NameServer {
  /// What a search for an unknown name has found.
  public enum SearchResult: Sendable {
    /// The zone has the name now.
    case found
    /// No device has the name.
    case nobody
    /// Whether a device has it is not known.
    case unclear
  }

  /// Searches the device of this label, and calls `reply` once, on the loop's thread.
  public typealias Search = (_ label: String, _ reply: @escaping (SearchResult) -> Void) -> Void

  // Set once.
  private let events: EventLoop
  private let search: Search
  private let port: UInt16

  // Owned by the main thread.
  public var zone: Zone
  private var endpoints: [Endpoint] = []
  private lazy var server = StreamServer<NameConnection>(on: events, maximum: 32) { [unowned self] socket, peer in
    guard let peer, isOwn(peer) else { return nil }
    return NameConnection(socket, on: events) { [unowned self] message, reply in
      answer(message, from: peer, limit: DNSResponse.largestMessage, reply)
    }
  }
  /// Where it is meant to be, and the addresses that may ask.
  public private(set) var hosts: [String] = []
  private var sources: Set<[UInt8]> = []

  /// How many questions are read in a row.
  private static let burst = 32
  /// Connections that wait in the kernel. Large, because what a flood puts there stands before everybody else.
  private static let backlog: CInt = 1024

  public init(_ zone: Zone, on events: EventLoop, port: UInt16 = 53, _ search: @escaping Search) {
    self.zone = zone
    self.events = events
    self.port = port
    self.search = search
  }

  /// Whether it answers at the addresses `hosts`.
  public func isServing(at hosts: [String]) -> Bool { self.hosts == hosts && endpoints.count == hosts.count }

  /// The ports that were chosen, if 0 was asked for; by UDP.
  public var ports: [UInt16] { endpoints.map { $0.socket.address.port } }

  /// Answers at these numeric addresses, and no others. Throws if it cannot at one of them, and answers at none then.
  public func serve(at hosts: [String]) throws(Errno) {
    stop()
    self.hosts = hosts
    do throws(Errno) {
      for host in hosts {
        guard let address = SocketAddress(numeric: host, port: port) else { throw Errno.invalidArgument }
        sources.insert(address.bytes)
        let endpoint = Endpoint(self, try UDPSocket(on: address, mayAwaitAddress: true))
        endpoint.registration = try events.register(endpoint.socket.descriptor, for: .readable, handler: endpoint)
        endpoints.append(endpoint)
        _ = try server.listen(
          on: .tcp(TCPListener(on: endpoint.socket.address, backlog: Self.backlog, mayAwaitAddress: true)))
      }
    } catch {
      stop()
      throw error
    }
  }

  public func stop() {
    for endpoint in endpoints {
      if let registration = endpoint.registration { events.deregister(endpoint.socket.descriptor, registration) }
    }
    endpoints = []
    server.stop()
    hosts = []
    sources = []
  }

  // MARK: Questions

  /// Gives the answer to a message, at once or when the relay has been asked; never one to what deserves none.
  fileprivate func answer(
    _ message: some Collection<UInt8>, from source: SocketAddress, limit: Int?, _ reply: @escaping ([UInt8]?) -> Void
  ) {
    let query: DNSQuery
    switch DNSQuery.read(message) {
    case .ignored: return reply(nil)
    case .problem(let code, let id, let opcode, let wantsRecursion):
      return reply(DNSResponse.encoded(code, id: id, opcode: opcode, wantsRecursion: wantsRecursion))
    case .query(let read): query = read
    }
    let limit = limit ?? DNSResponse.datagramSize(for: query)
    guard isOwn(source) else {
      return reply(DNSResponse.refused.encoded(answering: query, limit: limit))
    }
    switch zone.answer(query) {
    case .response(let response):
      reply(response.encoded(answering: query, limit: limit))
    case .unknown(let label, let missing):
      search(label) { [weak self] outcome in
        let response: DNSResponse
        if outcome == .found, let self, case .response(let found) = self.zone.answer(query) {
          response = found
        } else {
          // That nobody is known is no proof that there is nobody.
          response = outcome == .nobody ? missing : .failure
        }
        reply(response.encoded(answering: query, limit: limit))
      }
    }
  }

  /// Whether a question comes from this host itself.
  private func isOwn(_ source: SocketAddress) -> Bool { source.isLoopback || sources.contains(source.bytes) }

  private final class Endpoint: EventHandler {
    unowned let server: NameServer
    let socket: UDPSocket
    var registration: Registration?

    init(_ server: NameServer, _ socket: consuming UDPSocket) {
      self.server = server
      self.socket = socket
    }

    func handle(_ events: Events) {
      var buffer = [UInt8](repeating: 0, count: 4096)
      for _ in 0..<NameServer.burst {
        let received: (count: Int, source: SocketAddress)?
        do {
          received = try buffer.withUnsafeMutableBytes { bytes in try socket.receive(into: bytes) }
        } catch {
          // What came back of an answer that nobody waited for.
          continue
        }
        guard let (count, source) = received else { return }
        server.answer(buffer[..<count], from: source, limit: nil) { [weak self] answer in
          // Who asks again gets another answer.
          if let self, let answer { try? self.socket.send(answer, to: source) }
        }
      }
    }
  }
}
