internal import SystemIO
internal import SystemPackage

/// One attempt to connect to the relay: each server in order, each address of it, until one takes the connection. The
/// uplink hears of the outcome once. Owned by the device's thread.
final class Dialer: EventHandler {
  // Set once.
  private let events: EventLoop
  private let resolver: Resolver

  private weak var uplink: Uplink?
  private var servers: ArraySlice<(host: String, port: UInt16)>
  private var candidates: ArraySlice<SocketAddress> = []
  /// The server that the candidates belong to.
  private var server = ""
  private var failures: [String] = []
  private var attempt: Attempt?
  private(set) var progress = "about to dial"

  /// The address that is being dialed, and the local one.
  var ends: (local: SocketAddress, peer: SocketAddress)? {
    guard attempt != nil, let local = attempt?.socket.descriptor.localAddress(), let peer = attempt?.socket.peer
    else { return nil }
    return (local, peer)
  }

  private struct Attempt: ~Copyable {
    var socket: TCPSocket
    var registration: Registration
    var timer: Timer
  }

  init(_ servers: [(host: String, port: UInt16)], on events: EventLoop, _ resolver: Resolver, for uplink: Uplink) {
    self.events = events
    self.resolver = resolver
    self.uplink = uplink
    self.servers = servers[...]
  }

  func start() {
    dialNext()
  }

  /// Gives up, without a call.
  func cancel() {
    uplink = nil
    _ = endAttempt()
  }

  private func dialNext() {
    guard uplink != nil else { return }
    if let address = candidates.popFirst() {
      connect(to: address)
    } else if let server = servers.popFirst() {
      resolve(server.host, server.port)
    } else {
      uplink?.dialFailed(failures)
      uplink = nil
    }
  }

  private func resolve(_ host: String, _ port: UInt16) {
    progress = "looking up \(host)"
    uplink?.device.uplinkReached(.lookingUp(host))
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
    uplink?.device.uplinkReached(.connecting(address))
    do {
      let socket = try TCPSocket(connectingTo: address, maximumSegment: uplink?.segmentLimit(for: address))
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
    let uplink = uplink
    self.uplink = nil
    uplink?.dialed(descriptor, name: name, host: host, server: server)
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
