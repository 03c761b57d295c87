// The relay stops accepting connections before the system's limit of descriptors, so that the local socket and the
// store still work when unauthenticated connections have taken all others.

internal import Link
internal import Logging
public import SystemIO
public import SystemPackage

/// The listening sockets of a relay, bound before the relay starts, because ports below 1024 need root.
public final class RelayListeners: Sendable {
  let sockets: [Socket]

  /// A listening socket that can be released before its acceptor.
  final class Socket: Sendable {
    let listener: TCPListener

    init(_ listener: consuming TCPListener) {
      self.listener = listener
    }
  }

  /// The socket cannot listen on this address.
  public struct ListenError: Error, Sendable {
    public let address: SocketAddress
    public let errno: Errno
  }

  /// The addresses that this host does not have yet. Devices can connect to them once it has.
  public var awaited: [SocketAddress] { sockets.filter { $0.listener.isAwaitingAddress }.map { $0.listener.address } }

  public init(on addresses: [SocketAddress]) throws(ListenError) {
    var sockets: [Socket] = []
    for address in addresses {
      do {
        sockets.append(Socket(try TCPListener(on: address, mayAwaitAddress: true)))
      } catch {
        throw ListenError(address: address, errno: error)
      }
    }
    self.sockets = sockets
  }
}

/// Chooses the loop of a new connection: the first loop while that has few connections, then the one that has fewest.
///
/// Forwarding within one loop wakes one thread, and its data is in that thread's caches, so few devices share a loop.
/// Between two devices this takes the relay 0.35 instead of 0.41 CPU seconds a GiB. Connections stay with their loop.
struct LoopChoice {
  /// Up to this number of connections are few.
  let few: Int

  /// `loads`: the number of connections of each loop.
  func place(among loads: [Int]) -> Int {
    precondition(!loads.isEmpty)
    if loads[0] < few { return 0 }
    return loads.indices.min { loads[$0] < loads[$1] } ?? 0
  }
}

/// Accepts connections on one listening socket and gives them to the loops. Owned by the first loop's thread.
final class Acceptor: EventHandler {
  let address: SocketAddress
  /// `nil` once stopped.
  private var listening: RelayListeners.Socket?
  private let loops: [RelayLoop]
  private let choice: LoopChoice
  private var registration: Registration?
  private var lines = RateLimit(perSecond: 1.0 / 60, burst: 1)

  /// How long to pause when the system has no descriptor or memory for another connection, and at the limit of
  /// connections.
  private static let pause = Duration.seconds(1)
  private static let pauseForRoom = Duration.milliseconds(100)
  /// How many connections are accepted before the loop serves its sessions.
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

  /// New connections wait in the kernel until there is room.
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
      return  // The peer has closed the connection.
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

/// Where a connection comes from.
struct ConnectionOrigin: Sendable {
  /// Address and port, for people.
  let name: String
  /// The address, or the first half of an IPv6 address: what limits for unauthenticated connections count by.
  let host: String
  /// The address alone; `nil` for the relay host.
  let address: String?

  static let relayHost = ConnectionOrigin(name: "this host", host: "this host", address: nil)

  /// Whether this is the relay host, which connects within the process.
  var isRelayHost: Bool { address == nil }
}

extension ConnectionOrigin {
  init(_ address: SocketAddress) {
    self.init(name: address.description, host: address.neighbourhood, address: address.host)
  }
}
