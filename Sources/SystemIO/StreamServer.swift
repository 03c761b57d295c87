// A connection's journey: the kernel's queue → a `StreamListener` accepts it → the server makes room for it →
// `StreamConnection` reads, answers through its write queue, and ends, at a deadline at the latest.

public import SystemPackage

/// Accepts connections on a loop's thread and keeps at most so many. It is made for local sockets and for servers
/// beside the data path: bytes are copied. Owned by the loop's thread.
public final class StreamServer<Connection: StreamConnection> {
  /// Makes a connection of an accepted socket; `peer` is `nil` for a local one. `nil`: the socket is closed.
  public typealias Admit = (_ socket: consuming Descriptor, _ peer: SocketAddress?) -> Connection?

  // Set once.
  fileprivate let events: EventLoop
  fileprivate let batch: Int
  fileprivate let batchPause: Duration
  fileprivate let onTrouble: (Errno) -> Void
  private let maximum: Int
  private let admit: Admit

  // Owned by the loop's thread.
  private var listeners: [StreamListener<Connection>] = []
  private var table: [ObjectIdentifier: Connection] = [:]

  /// At most `maximum` connections are kept; beyond that the one with the lowest claim gives way.
  ///
  /// `batch` connections are accepted before everything else on the thread has its turn, and `batchPause` later the
  /// next ones. A batch is at most half of `maximum`, so that a new connection keeps its place until what came with it
  /// was read. `onTrouble` is told why connections cannot be accepted (no descriptors, no memory).
  public init(
    on events: EventLoop, maximum: Int, batch: Int = 16, batchPause: Duration = .zero,
    onTrouble: @escaping (Errno) -> Void = { _ in }, _ admit: @escaping Admit
  ) {
    self.events = events
    self.maximum = maximum
    self.batch = batch
    self.batchPause = batchPause
    self.onTrouble = onTrouble
    self.admit = admit
  }

  public var connections: some Collection<Connection> { table.values }

  /// Accepts connections of this socket from now on.
  public func listen(on socket: consuming ListeningSocket) throws(Errno) -> StreamListener<Connection> {
    let listener = StreamListener(self, socket)
    try listener.start()
    listeners.append(listener)
    return listener
  }

  /// Closes a listening socket; its connections stay.
  public func close(_ listener: StreamListener<Connection>) {
    listener.stop()
    listeners.removeAll { $0 === listener }
  }

  /// Closes the listening sockets, sends what waits to be sent, though the loop may not run any more, and ends all
  /// connections. A program that does not take the rest by the deadline goes without.
  public func stop(sendingUntil deadline: Instant = .now()) {
    for listener in listeners { listener.stop() }
    listeners = []
    for connection in Array(table.values) {
      connection.sendRest(until: deadline)
      connection.end()
    }
  }

  /// Whether another connection can be kept.
  fileprivate var hasRoom: Bool { table.count < maximum || lowestClaim != nil }

  /// The oldest of the connections with the lowest claim; `nil` if all need their places.
  private var lowestClaim: Connection? {
    let claims = table.values.compactMap { connection in connection.claim.map { ($0, connection) } }
    return claims.min { ($0.0, $0.1.since) < ($1.0, $1.1.since) }?.1
  }

  fileprivate func take(_ socket: consuming Descriptor, _ peer: SocketAddress?) {
    guard let connection = admit(socket, peer) else { return }
    if table.count >= maximum { lowestClaim?.end() }
    table[ObjectIdentifier(connection)] = connection
    connection.start { [weak self, unowned connection] in self?.table[ObjectIdentifier(connection)] = nil }
  }
}

/// A socket that stream connections come from.
public enum ListeningSocket: ~Copyable {
  case tcp(TCPListener)
  case local(UnixListener)
}

/// A listening socket of a `StreamServer`.
public final class StreamListener<Connection: StreamConnection>: EventHandler {
  private unowned let server: StreamServer<Connection>
  private let socket: ListeningSocket
  private var registration: Registration?

  /// How long connections wait where all that there are need their places, and where descriptors or memory are short.
  private static var roomPause: Duration { .milliseconds(20) }
  private static var troublePause: Duration { .milliseconds(200) }

  fileprivate init(_ server: StreamServer<Connection>, _ socket: consuming ListeningSocket) {
    self.server = server
    self.socket = socket
  }

  fileprivate func start() throws(Errno) {
    registration =
      switch socket {
      case .tcp(let listener): try server.events.register(listener.descriptor, for: .readable, handler: self)
      case .local(let listener): try server.events.register(listener.descriptor, for: .readable, handler: self)
      }
  }

  public func handle(_ events: Events) {
    do {
      for _ in 0..<server.batch {
        guard server.hasRoom else { return pause(for: Self.roomPause) }
        switch socket {
        case .tcp(let listener):
          guard let accepted = try listener.accept() else { return }
          let peer = accepted.peer
          server.take(accepted.takeDescriptor(), peer)
        case .local(let listener):
          guard let accepted = try listener.accept() else { return }
          server.take(accepted, nil)
        }
      }
      if server.batchPause > .zero { pause(for: server.batchPause) }
    } catch {
      server.onTrouble(error)
      pause(for: Self.troublePause)
    }
  }

  private func pause(for time: Duration) {
    setInterest([])
    server.events.schedule(after: time) { [weak self] in self?.setInterest(.readable) }
  }

  private func setInterest(_ interest: Events) {
    guard let registration else { return }
    switch socket {
    case .tcp(let listener): server.events.setInterest(interest, of: listener.descriptor, registration)
    case .local(let listener): server.events.setInterest(interest, of: listener.descriptor, registration)
    }
  }

  fileprivate func stop() {
    guard let registration else { return }
    switch socket {
    case .tcp(let listener): server.events.deregister(listener.descriptor, registration)
    case .local(let listener): server.events.deregister(listener.descriptor, registration)
    }
    self.registration = nil
  }
}

/// A connection of a `StreamServer`; subclasses say what becomes of its bytes. Owned by the loop's thread.
open class StreamConnection: EventHandler {
  // Set once.
  public let since = Instant.now()
  public let events: EventLoop
  private let socket: Descriptor

  // Owned by the loop's thread.
  private var onEnd: (() -> Void)?
  private var registration: Registration?
  private var interest: Events = .readable
  private var timer: Timer?
  private var output: ArraySlice<UInt8> = []
  /// Sent with the first byte of the output.
  private var file: OpenFile?

  public init(_ socket: consuming Descriptor, on events: EventLoop) {
    self.socket = socket
    self.events = events
  }

  // MARK: What subclasses override

  /// How much the connection needs its place; `nil`: it cannot give way to another.
  open var claim: Int? { nil }

  /// Bytes have come, while `isReading`.
  open func received(_ bytes: UnsafeRawBufferPointer) {}

  /// Everything that `send` was given is sent.
  open func sentAll() {}

  // MARK: What subclasses use

  /// Whether bytes are read. While they are not, the kernel keeps what it has room for.
  public final var isReading = true {
    didSet { if isReading != oldValue { updateInterest() } }
  }

  public final var isOpen: Bool { registration != nil }

  public final var hasSentAll: Bool { output.isEmpty }

  /// Sends behind what waits to be sent already. `file` goes with the first byte of an empty queue.
  public final func send(_ bytes: [UInt8], with file: OpenFile? = nil) {
    guard isOpen else { return }
    if output.isEmpty {
      (output, self.file) = (bytes[...], file)
    } else {
      output += bytes
    }
    flush()
  }

  /// Sends to a connection that was not admitted, as much as a new socket has room for.
  public final func refuse(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty, let count = rest.withUnsafeBytes({ try? socket.send($0) }) { rest = rest.dropFirst(count) }
  }

  /// Tells the other end that nothing more comes.
  public final func shutDownSending() { socket.shutDownSending() }

  /// Ends the connection after `time`, in place of an earlier deadline; `nil`: there is none any more.
  public final func end(after time: Duration?) {
    if let timer { events.cancel(timer) }
    timer = time.map { events.schedule(after: $0) { [weak self] in self?.end() } }
  }

  public final func end() {
    end(after: nil)
    if let registration { events.deregister(socket, registration) }
    registration = nil
    output = []
    // The object may outlive its connection in the closures that wait for an answer.
    socket.shutDown()
    onEnd.take()?()
  }

  // MARK: On the loop

  fileprivate final func start(onEnd: @escaping () -> Void) {
    self.onEnd = onEnd
    registration = try? events.register(socket, for: .readable, handler: self)
    if registration == nil { end() }
  }

  public final func handle(_ events: Events) {
    guard isOpen else { return }
    if events.contains(.hangup) { return end() }
    if events.contains(.writable), !output.isEmpty { flush() }
    if events.contains(.readable), isReading, isOpen { read() }
  }

  private func read() {
    withUnsafeTemporaryAllocation(byteCount: 32 << 10, alignment: 1) { buffer in
      do {
        guard let count = try socket.read(into: buffer) else { return }
        if count == 0 { return end() }
        received(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      } catch {
        end()
      }
    }
  }

  private func flush() {
    do {
      while !output.isEmpty {
        let count = try output.withUnsafeBytes { bytes in
          try file.map { try socket.send(bytes, with: $0) } ?? socket.send(bytes)
        }
        guard let count else { return updateInterest() }
        if count > 0 { file = nil }
        output = output.dropFirst(count)
      }
    } catch {
      return end()
    }
    updateInterest()
    sentAll()
  }

  fileprivate final func sendRest(until deadline: Instant) {
    while !output.isEmpty, (try? socket.wait(for: .writable, until: deadline)) == true { flush() }
  }

  private func updateInterest() {
    var wanted: Events = isReading ? .readable : []
    if !output.isEmpty { wanted.insert(.writable) }
    guard let registration, wanted != interest else { return }
    interest = wanted
    events.setInterest(interest, of: socket, registration)
  }
}
