public import SystemIO
public import SystemPackage

/// Answers requests on the daemon's local sockets. Owned by its loop's thread.
///
/// There are two. Any user may connect to the one at the daemon's path, and its queue of connections that wait to be
/// accepted can be filled by any of them. The kernel lets only root and the daemon's own user connect to the other one
/// (mode 0600), so no other user's connections ever wait before theirs.
public final class ControlServer {
  /// Carries out a command and gives the answer to the last argument, once, on any thread.
  public typealias Handler = (ControlCommand, @escaping @Sendable (ControlAnswer) -> Void) -> Void

  private let events: EventLoop
  private let handler: Handler
  private var doors: [Door] = []
  private var clients: [ObjectIdentifier: ControlClientSession] = [:]
  private var subscribers: [ObjectIdentifier: ControlClientSession] = [:]
  /// Told why nobody can be answered; not more often than once a minute.
  private let onTrouble: (Errno) -> Void
  private var troubles = RateLimit(perSecond: 1.0 / 60, burst: 1)

  /// How many may ask at once; of these one user who is not root has no more than a few, so that nobody keeps root out.
  private static let maximumClients = 64
  private static let maximumClientsOfOneUser = 8
  /// Those who listen are counted apart, so that they keep nobody from asking.
  private static let maximumSubscribers = 16
  /// Where the sockets of the suite's daemons are.
  public static let directory = "/run/mnedc"

  /// The socket of root and the daemon's own user, beside the one at `path`.
  public static func ownersPath(_ path: String) -> String { "\(path).root" }

  /// Listens at `path` from now on; `heir` is the user that this process will become.
  public init(
    path: String, for heir: User? = nil, on events: EventLoop, onTrouble: @escaping (Errno) -> Void = { _ in },
    _ handler: @escaping Handler
  ) throws {
    self.events = events
    self.handler = handler
    self.onTrouble = onTrouble
    do {
      // Any user may connect. The server checks for each command whether that user may give it.
      try open(path, mode: 0o666, for: heir)
      do {
        try open(Self.ownersPath(path), mode: 0o600, for: heir)
      } catch UnixListenerError.pathTooLong {
        // The other one serves root too, as long as nobody fills its queue.
      }
    } catch {
      // The loop would keep the first socket, whose door refers to this server.
      stop()
      throw error
    }
  }

  private func open(_ path: String, mode: UInt32, for heir: User?) throws {
    let door = Door(self, try UnixListener(path: path, mode: mode, for: heir, shared: Self.directory))
    door.registration = try events.register(door.listener.descriptor, for: .readable, handler: door)
    doors.append(door)
  }

  private func take(_ socket: consuming Descriptor) {
    guard let peer = try? socket.peerCredentials() else { return }
    let client = ControlClientSession(socket, peer, on: events)
    if isFull(for: peer.user) { return client.refuse(.tooMany) }
    clients[ObjectIdentifier(client)] = client
    client.subscribe = { [weak self, weak client] in
      guard let self, let client else { return false }
      return subscribe(client)
    }
    client.start(handler) { [weak self, weak client] in
      guard let client else { return }
      self?.clients[ObjectIdentifier(client)] = nil
      self?.subscribers[ObjectIdentifier(client)] = nil
    }
  }

  private func complain(_ error: Errno) {
    if troubles.allow(at: .now()) { onTrouble(error) }
  }

  /// One of the two sockets.
  private final class Door: EventHandler {
    private unowned let server: ControlServer
    let listener: UnixListener
    var registration: Registration?

    /// How many connections the server accepts in one go, and how long the next ones wait then: a program that connects
    /// in a loop gets a fraction of this thread's time.
    private static let batch = 32
    private static let pause = Duration.milliseconds(5)

    init(_ server: ControlServer, _ listener: consuming UnixListener) {
      self.server = server
      self.listener = listener
    }

    func handle(_ events: Events) {
      do {
        for _ in 0..<Self.batch {
          guard let socket = try listener.accept() else { return }
          server.take(socket)
        }
        pause(for: Self.pause)
      } catch {
        // No descriptor is left: trying again at once would find none either.
        server.complain(error)
        pause(for: .milliseconds(200))
      }
    }

    private func pause(for time: Duration) {
      setInterest([])
      server.events.schedule(after: time) { [weak self] in self?.setInterest(.readable) }
    }

    private func setInterest(_ interest: Events) {
      if let registration { server.events.setInterest(interest, of: listener.descriptor, registration) }
    }

    func close() {
      if let registration { server.events.deregister(listener.descriptor, registration) }
      registration = nil
    }
  }

  private func isFull(for user: UInt32) -> Bool {
    Self.isFull(Array(clients.values), for: user, Self.maximumClients)
  }

  private static func isFull(_ all: [ControlClientSession], for user: UInt32, _ maximum: Int) -> Bool {
    if user == 0 { return all.count >= 2 * maximum }
    return all.count >= maximum || all.count { $0.user == user } >= maximumClientsOfOneUser
  }

  /// False: there are too many.
  private func subscribe(_ client: ControlClientSession) -> Bool {
    guard !Self.isFull(Array(subscribers.values), for: client.user, Self.maximumSubscribers) else { return false }
    clients[ObjectIdentifier(client)] = nil
    subscribers[ObjectIdentifier(client)] = client
    return true
  }

  /// Whether anybody is told of events.
  public var hasSubscribers: Bool { !subscribers.isEmpty }

  /// Tells all subscribers. The handler answers `subscribe` with the snapshot that comes before; it is asked again for who has
  /// not read in time.
  public func publish(_ event: PeerEventReport) {
    guard hasSubscribers else { return }
    let line = JSON.line(event)
    for client in Array(subscribers.values) { client.tell(line) }
  }

  /// Stops listening. The rest of answers that have begun is sent, though the loop may not run any more; who does not take
  /// it within a second goes without.
  public func stop() {
    for door in doors { door.close() }
    let deadline = Instant.now().advanced(by: .seconds(1))
    for client in Array(clients.values) { client.finish(until: deadline) }
    for client in Array(subscribers.values) { client.endStream() }
  }
}

/// What a command comes to.
public enum ControlAnswer: Sendable {
  case report(any Codable & Sendable)
  /// With an open file, which the other end gets too.
  case file(any Codable & Sendable, OpenFile)
  case done
  case failed(ControlError)

  var line: [UInt8] {
    switch self {
    case .report(let report), .file(let report, _): Self.line(report)
    case .done: Self.line(Done())
    case .failed(let error): JSON.line(ControlResponse<Done>(error: error))
    }
  }

  private static func line(_ report: some Codable) -> [UInt8] {
    ControlResponse(result: report).line
  }
}

/// One program that asks.
private final class ControlClientSession: EventHandler {
  private let socket: Descriptor
  private let peer: PeerCredentials
  private let events: EventLoop
  private var handler: ControlServer.Handler?
  private var onEnd: () -> Void = {}
  private var registration: Registration?
  private var timer: Timer?
  private var request: [UInt8] = []
  private var answer: ArraySlice<UInt8> = []
  /// Sent with the first byte of the answer.
  private var file: OpenFile?
  /// Of a subscriber, with what gives it snapshots.
  private var feed: (lines: ControlFeed, handler: ControlServer.Handler)?
  /// Makes this a subscriber, unless there are too many.
  var subscribe: () -> Bool = { false }

  private static let timeout = Duration.seconds(5)
  private static let answerTimeout = Duration.seconds(60)

  var user: UInt32 { peer.user }

  init(_ socket: consuming Descriptor, _ peer: PeerCredentials, on events: EventLoop) {
    self.socket = socket
    self.peer = peer
    self.events = events
  }

  func start(_ handler: @escaping ControlServer.Handler, onEnd: @escaping () -> Void) {
    self.handler = handler
    self.onEnd = onEnd
    registration = try? events.register(socket, for: .readable, handler: self)
    guard registration != nil else { return end() }
    end(after: Self.timeout)
  }

  /// Says why and is done, without waiting for a request.
  func refuse(_ error: ControlError) {
    var line = ControlAnswer.failed(error).line[...]
    // A new socket has room for it.
    while !line.isEmpty, let count = line.withUnsafeBytes({ try? socket.send($0) }) { line = line.dropFirst(count) }
  }

  func handle(_ events: Events) {
    // Nobody waits for an answer any more, so what was asked is not wanted any more either.
    if events.contains(.hangup) { return end() }
    if feed != nil { return writeLines() }
    if !answer.isEmpty { return write() }
    if handler != nil { read() }
  }

  private func read() {
    let goesOn = withUnsafeTemporaryAllocation(byteCount: ControlRequest.maximumSize, alignment: 1) { buffer in
      do {
        guard let count = try socket.read(into: buffer) else { return true }
        request.append(contentsOf: buffer[..<count])
        return count > 0
      } catch {
        return false
      }
    }
    guard goesOn else { return end() }
    if let newline = request.firstIndex(of: UInt8(ascii: "\n")) {
      carryOut(request[..<newline])
    } else if request.count > ControlRequest.maximumSize {
      reply(.failed(ControlError(.badRequest, "the request is longer than \(ControlRequest.maximumSize) bytes")))
    }
  }

  private func carryOut(_ line: ArraySlice<UInt8>) {
    guard let handler, let registration else { return }
    self.handler = nil
    // Whoever has asked may wait for the answer, as some take a relay or a disk to give.
    end(after: Self.answerTimeout)
    // One request a connection: whatever else comes is not read, but that the other end is gone is told all the same.
    events.setInterest([], of: socket, registration)
    do throws(ControlError) {
      let command = try ControlRequest(parsing: line).command
      let name = command.name
      guard name.isForEverybody || peer.user == 0 || peer.user == currentUser() else {
        let owner = currentUser()
        let others = owner == 0 ? "" : " and the daemon's own user (\(User.name(of: owner)))"
        throw ControlError(
          .denied, "\(name.typed) is for root\(others), and you are \(User.name(of: peer.user)); run as root")
      }
      if command == .subscribe { return try beginStream(handler) }
      end(after: Self.answerTimeout + command.patience)
      let reference = LoopBound(self)
      let events = events
      handler(command) { answer in events.post { reference.value.reply(answer) } }
    } catch {
      reply(.failed(error))
    }
  }

  private func reply(_ answer: ControlAnswer) {
    guard registration != nil else { return }
    handler = nil
    self.answer = answer.line[...]
    if case .file(_, let file) = answer { self.file = file }
    write()
  }

  /// Sends what is left of an answer.
  func finish(until deadline: Instant) {
    while !answer.isEmpty, (try? socket.wait(for: .writable, until: deadline)) == true { write() }
  }

  private func write() {
    let sent = answer.withUnsafeBytes { bytes in
      do {
        return try (file.map { file in try socket.send(bytes, with: file) } ?? socket.send(bytes)) ?? 0
      } catch {
        return -1
      }
    }
    guard sent >= 0 else { return end() }
    if sent > 0 { file = nil }
    answer = answer.dropFirst(sent)
    if answer.isEmpty {
      end()
    } else if let registration {
      events.setInterest(.writable, of: socket, registration)
    }
  }

  // MARK: A stream of lines

  private func beginStream(_ handler: @escaping ControlServer.Handler) throws(ControlError) {
    guard subscribe() else { throw ControlError(.busy, "too many programs listen at once; try again later") }
    if let timer { events.cancel(timer) }
    timer = nil
    feed = (ControlFeed(), handler)
    askForSnapshot(handler)
  }

  private func askForSnapshot(_ handler: ControlServer.Handler) {
    let reference = LoopBound(self)
    let events = events
    // At once if it can be: what is published from now on is not in it.
    handler(.subscribe) { answer in
      if events.isCurrent { return reference.value.takeSnapshot(answer) }
      events.post { reference.value.takeSnapshot(answer) }
    }
  }

  private func takeSnapshot(_ answer: ControlAnswer) {
    guard registration != nil, feed != nil else { return }
    guard case .report(let report) = answer else {
      feed = nil
      return reply(answer)
    }
    feed?.lines.take(snapshot: JSON.line(report))
    writeLines()
  }

  func tell(_ line: [UInt8]) {
    feed?.lines.take(event: line)
    writeLines()
  }

  private func writeLines() {
    guard let handler = feed?.handler else { return }
    do {
      if try feed?.lines.flush({ try socket.send($0) }) == true { askForSnapshot(handler) }
      guard let registration else { return }
      events.setInterest(feed?.lines.isEmpty == false ? .writable : [], of: socket, registration)
    } catch {
      end()
    }
  }

  func endStream() {
    writeLines()
    end()
  }

  private func end(after time: Duration) {
    if let timer { events.cancel(timer) }
    timer = events.schedule(after: time) { [weak self] in self?.end() }
  }

  private func end() {
    answer = []
    feed = nil
    if let registration { events.deregister(socket, registration) }
    registration = nil
    if let timer { events.cancel(timer) }
    timer = nil
    socket.shutDown()
    let onEnd = onEnd
    self.onEnd = {}
    onEnd()
  }
}
