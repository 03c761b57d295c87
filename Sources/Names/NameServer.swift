public import SystemIO
public import SystemPackage
internal import Wire

/// Answers DNS questions by UDP and TCP at this device's virtual addresses. It answers only the host itself: every
/// device has a server of its own. Owned by the main thread.
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
  /// The addresses where it should answer, and those that may ask.
  public private(set) var hosts: [String] = []
  private var sources: Set<[UInt8]> = []

  /// How many questions are read in a row.
  private static let burst = 32
  /// Connections that wait in the kernel. Large, because the connections of a flood stand before all others.
  private static let backlog: CInt = 1024

  public init(_ zone: Zone, on events: EventLoop, port: UInt16 = 53, _ search: @escaping Search) {
    self.zone = zone
    self.events = events
    self.port = port
    self.search = search
  }

  /// Whether it answers at the addresses `hosts`.
  public func isServing(at hosts: [String]) -> Bool { self.hosts == hosts && endpoints.count == hosts.count }

  /// The UDP ports; the kernel chooses them if 0 was asked for.
  public var ports: [UInt16] { endpoints.map { $0.socket.address.port } }

  /// Answers at these numeric addresses and at no others. If it cannot at one of them, it throws and answers at none.
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

  /// Gives the answer to a message, at once or after the search; `nil` if the message deserves none.
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
          // An unclear result does not prove that the name does not exist.
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
          // An ICMP error for an answer that nobody waited for.
          continue
        }
        guard let (count, source) = received else { return }
        server.answer(buffer[..<count], from: source, limit: nil) { [weak self] answer in
          // A resolver that misses it asks again.
          if let self, let answer { try? self.socket.send(answer, to: source) }
        }
      }
    }
  }
}

/// A connection that asks for names by TCP: each message behind its length in two bytes (RFC 1035, section 4.2.2), one
/// after the other. Owned by the main thread.
final class NameConnection: StreamConnection {
  // Set once.
  private let answer: ([UInt8], @escaping ([UInt8]?) -> Void) -> Void

  // Owned by the main thread.
  private var input: [UInt8] = []
  /// Whether an answer is awaited or being sent; until it is sent, nothing more is read.
  private var isAnswering = false

  /// How long a question may take to come, and its answer to be taken.
  private static let patience = Duration.seconds(5)
  /// In bytes; longer than any question.
  private static let maximumMessage = 4096

  /// `answer` gives the answer to a message; `nil` if it deserves none.
  init(
    _ socket: consuming Descriptor, on events: EventLoop,
    answer: @escaping ([UInt8], @escaping ([UInt8]?) -> Void) -> Void
  ) {
    self.answer = answer
    super.init(socket, on: events)
    end(after: Self.patience)
  }

  override var claim: Int? { isAnswering ? nil : 0 }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    input += bytes
    next()
  }

  /// Answers the first question that has come whole.
  private func next() {
    guard isOpen, !isAnswering, input.count >= 2 else { return }
    let length = Int(input[0]) << 8 | Int(input[1])
    guard length <= Self.maximumMessage else { return end() }
    guard input.count >= 2 + length else { return }
    let message = Array(input[2..<2 + length])
    input.removeFirst(2 + length)
    isAnswering = true
    // Nothing is read meanwhile, so that nothing piles up.
    isReading = false
    answer(message) { [weak self] answer in
      guard let answer else { return self?.end() ?? () }
      self?.send([UInt8(answer.count >> 8), UInt8(answer.count & 0xFF)] + answer)
    }
  }

  override func sentAll() {
    isAnswering = false
    isReading = true
    end(after: Self.patience)
    // Not at once: a long row of questions must not hold the loop up.
    if !input.isEmpty { events.schedule(after: .zero) { [weak self] in self?.next() } }
  }
}
