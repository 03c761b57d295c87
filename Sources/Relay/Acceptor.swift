// The relay stops accepting connections before the system's limit of descriptors, so that the local socket and the
// store still work when unauthenticated connections have taken all others.

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
  private let choice: LoopChoice
  private var registration: Registration?
  private var lines = RateLimit(perSecond: 1.0 / 60, burst: 1)

  /// How long to wait when the system has no descriptor or memory left for another connection, and when there are as many as
  /// there may be.
  private static let pause = Duration.seconds(1)
  private static let pauseForRoom = Duration.milliseconds(100)
  /// How many are taken before the sessions of this loop have their turn.
  private static let batch = 64

  init(_ listening: RelayListeners.Socket, loops: [RelayLoop], _ choice: LoopChoice) {
    address = listening.listener.address
    self.listening = listening
    self.loops = loops
    self.choice = choice
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
      for _ in 0..<Self.batch {
        guard !limit.isReached else { return waitForRoom() }
        guard let socket = try listening?.listener.accept() else { return }
        deal(socket)
      }
    } catch {
      complain("\(error)\(error == .tooManyOpenFiles ? Self.advice : "")")
      pause(for: Self.pause)
    }
  }

  private static let advice = "; raise its limit of open files (LimitNOFILE=, ulimit -n)"

  private var limit: ConnectionLimit { home.bounds.connections }

  /// Who connects now waits in the kernel until a place is free.
  private func waitForRoom() {
    complain("there are \(limit.maximum), and the other descriptors are needed for other things\(Self.advice)")
    for loop in loops { loop.makeRoom() }
    pause(for: Self.pauseForRoom)
  }

  private func complain(_ why: String) {
    guard lines.allow(at: .now()) else { return }
    home.logger.error("cannot take new connections: \(why)")
  }

  private func deal(_ socket: consuming TCPSocket) {
    let origin = ConnectionOrigin(socket.peer)
    let descriptor = socket.takeDescriptor()
    do {
      try descriptor.tune(.frames)
    } catch {
      return  // It is gone already.
    }
    loops[choice.place(among: loops.map(\.load))].adopt(descriptor, from: origin)
  }

  private func pause(for time: Duration) {
    setInterest([])
    home.events.schedule(after: time) { self.setInterest(.readable) }
  }

  private func setInterest(_ events: Events) {
    guard let registration, let listening else { return }
    home.events.setInterest(events, of: listening.listener.descriptor, registration)
  }
}
