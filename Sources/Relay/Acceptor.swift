internal import Link
internal import Logging
internal import SystemIO
internal import SystemPackage

/// Takes connections from one listening socket and deals them out to the loops. Owned by the first loop's thread.
final class Acceptor: EventHandler {
  private let listener: TCPListener
  private let loops: [RelayLoop]
  private var registration: Registration?
  private var next = 0

  /// How long to wait when the system has no descriptor or memory left for another connection.
  private static let pause = Duration.milliseconds(200)

  init(_ listener: consuming TCPListener, loops: [RelayLoop]) {
    self.listener = listener
    self.loops = loops
  }

  var address: SocketAddress { listener.address }

  private var home: RelayLoop { loops[0] }

  func start() throws(Errno) {
    registration = try home.events.register(listener.descriptor, for: .readable, handler: self)
  }

  func stop() {
    guard let registration else { return }
    home.events.deregister(listener.descriptor, registration)
    self.registration = nil
  }

  func handle(_ events: Events) {
    do {
      while let socket = try listener.accept() { deal(socket) }
    } catch {
      home.limited { $0.error("no new connections for \(Self.pause): \(error)") }
      pause()
    }
  }

  private func deal(_ socket: consuming TCPSocket) {
    let name = socket.peer.description
    let descriptor = socket.takeDescriptor()
    do {
      try descriptor.tune(.frames)
    } catch {
      return  // It is gone already.
    }
    loops[next % loops.count].adopt(descriptor, peerName: name)
    next += 1
  }

  private func pause() {
    guard let registration else { return }
    home.events.setInterest([], of: listener.descriptor, registration)
    home.events.schedule(after: Self.pause) { [self] in
      guard let registration = self.registration else { return }
      home.events.setInterest(.readable, of: listener.descriptor, registration)
    }
  }
}
