internal import SystemIO
internal import SystemPackage

/// Who waits for a dialer's end, which is told once. Called on the loop.
protocol DialerDelegate: AnyObject {
  /// A name is looked up now, or an address dialed.
  func dialerReached(_ step: JoinStep)
  /// The largest TCP segments that the path to the address takes, in bytes; `nil`: no less than this host's link, as
  /// far as known.
  func segmentLimit(for address: SocketAddress) -> Int?
  /// `name` is the address with its port, `host` without; `server` the one of the config that it was found under.
  func dialed(_ descriptor: consuming Descriptor, name: String, host: String?, server: String)
  /// `failures` has what went wrong in order, such as `192.0.2.1:3334: connection refused`.
  func dialFailed(_ failures: [String])
}

/// One attempt to reach the relay: every server in order, every address of each, until one takes the connection. Owned by
/// the device's thread.
final class Dialer: EventHandler {
  // Set once.
  private let events: EventLoop
  private let resolver: Resolver

  private weak var delegate: (any DialerDelegate)?
  private var servers: ArraySlice<(host: String, port: UInt16)>
  private var candidates: ArraySlice<SocketAddress> = []
  /// The server that the candidates belong to.
  private var server = ""
  private var failures: [String] = []
  private var attempt: Attempt?
  /// The address that is being tried, and the one of this host that it is tried from.
  var ends: (local: SocketAddress, peer: SocketAddress)? {
    guard attempt != nil, let local = attempt?.socket.descriptor.localAddress(), let peer = attempt?.socket.peer
    else { return nil }
    return (local, peer)
  }

  /// What it is about.
  private(set) var progress = "about to dial"

  /// A connection that is being made.
  private struct Attempt: ~Copyable {
    var socket: TCPSocket
    var registration: Registration
    var timer: Timer
  }

  init(
    _ servers: [(host: String, port: UInt16)], on events: EventLoop, _ resolver: Resolver,
    delegate: any DialerDelegate
  ) {
    self.events = events
    self.resolver = resolver
    self.delegate = delegate
    self.servers = servers[...]
  }

  func start() {
    dialNext()
  }

  /// Gives up; nobody is called any more.
  func cancel() {
    delegate = nil
    _ = endAttempt()
  }

  private func dialNext() {
    guard delegate != nil else { return }
    if let address = candidates.popFirst() {
      connect(to: address)
    } else if let server = servers.popFirst() {
      resolve(server.host, server.port)
    } else {
      delegate?.dialFailed(failures)
      delegate = nil
    }
  }

  private func resolve(_ host: String, _ port: UInt16) {
    progress = "looking up \(host)"
    delegate?.dialerReached(.lookingUp(host))
    server = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    let reference = LoopBound(self)
    resolver.resolve(host, port: port, on: events) { answer in
      let dialer = reference.value
      switch answer {
      case .success(let addresses): dialer.candidates = addresses[...]
      case .failure(let error): dialer.failures.append("\(host): \(error)")
      }
      dialer.dialNext()
    }
  }

  private func connect(to address: SocketAddress) {
    progress = "no answer from \(address) yet"
    delegate?.dialerReached(.connecting(address))
    do {
      let socket = try TCPSocket(connectingTo: address, maximumSegment: delegate?.segmentLimit(for: address))
      let registration = try events.register(socket.descriptor, for: .writable, handler: self)
      let timer = events.schedule(after: DeviceSettings.connectTimeout) { [weak self] in
        self?.fail(address, "no answer within \(Int(DeviceSettings.connectTimeout.seconds)) s")
      }
      attempt = Attempt(socket: socket, registration: registration, timer: timer)
    } catch {
      failures.append("\(address): \(error)")
      dialNext()
    }
  }

  func handle(_ events: Events) {
    guard let socket = endAttempt() else { return }
    let name = socket.peer.description
    let host = socket.peer.host
    let descriptor = socket.takeDescriptor()
    if let error = descriptor.takeSocketError() {
      failures.append("\(name): \(error)")
      dialNext()
      return
    }
    let delegate = delegate
    self.delegate = nil
    delegate?.dialed(descriptor, name: name, host: host, server: server)
  }

  private func fail(_ address: SocketAddress, _ why: String) {
    guard endAttempt() != nil else { return }
    failures.append("\(address): \(why)")
    dialNext()
  }

  private func endAttempt() -> TCPSocket? {
    guard let attempt = attempt.take() else { return nil }
    events.deregister(attempt.socket.descriptor, attempt.registration)
    events.cancel(attempt.timer)
    return attempt.socket
  }
}
