internal import Link
internal import Logging
internal import SystemIO
internal import SystemPackage

/// Takes connections from one listening socket and deals them out to the loops. Owned by the first loop's thread.
final class Acceptor: EventHandler {
  let address: SocketAddress
  /// `nil` once stopped.
  private var listening: RelayListeners.Socket?
  private let loops: [RelayLoop]
  private var registration: Registration?
  private var next = 0

  /// How long to wait when the system has no descriptor or memory left for another connection.
  private static let pause = Duration.seconds(1)

  init(_ listening: RelayListeners.Socket, loops: [RelayLoop]) {
    address = listening.listener.address
    self.listening = listening
    self.loops = loops
  }

  private var home: RelayLoop { loops[0] }

  func start() throws(Errno) {
    guard let listening else { return }
    registration = try home.events.register(listening.listener.descriptor, for: .readable, handler: self)
  }

  /// Closes the listening socket.
  func stop() {
    guard let registration, let listening else { return }
    home.events.deregister(listening.listener.descriptor, registration)
    self.registration = nil
    self.listening = nil
  }

  func handle(_ events: Events) {
    do {
      while let socket = try listening?.listener.accept() { deal(socket) }
    } catch {
      let hint = error == .tooManyOpenFiles ? "; raise its limit of open files (LimitNOFILE=, ulimit -n)" : ""
      home.limited { $0.error("cannot take new connections: \(error)\(hint)") }
      pause()
    }
  }

  private func deal(_ socket: consuming TCPSocket) {
    let origin = Origin(socket.peer)
    let descriptor = socket.takeDescriptor()
    do {
      try descriptor.tune(.frames)
    } catch {
      return  // It is gone already.
    }
    loops[next % loops.count].adopt(descriptor, from: origin)
    next += 1
  }

  private func pause() {
    setInterest([])
    home.events.schedule(after: Self.pause) { self.setInterest(.readable) }
  }

  private func setInterest(_ events: Events) {
    guard let registration, let listening else { return }
    home.events.setInterest(events, of: listening.listener.descriptor, registration)
  }
}
