internal import Logging
public import Relay
public import SystemIO
public import Wire

/// A relay on loopback, in this process, on a port of its own.
public final class TestRelay: Sendable {
  public let relay: Relay

  /// The port that it listens on, so that another one can take its place.
  public var address: SocketAddress { relay.addresses[0] }

  public init(
    pool: String = "10.0.0.0/24", keepalive: Duration = .seconds(5), port: UInt16 = 0, threads: Int = 2
  ) throws {
    guard let prefix = IPv4Prefix(pool), let listen = SocketAddress(numeric: "127.0.0.1", port: port) else {
      preconditionFailure("a test names a pool and a port")
    }
    relay = try Relay(
      RelaySettings(listen: [listen], pool: prefix, keepalive: keepalive, queueLimit: 4 << 20, threads: threads),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    relay.start()
  }

  public func stop() {
    relay.stop()
  }

  /// The relay's state, as its loops report it.
  public func status() -> RelayStatus? {
    let answer = Mailbox<RelayStatus>()
    relay.status { answer.put($0) }
    return answer.waitFor(1).first
  }

  /// A client that has joined, and its address.
  public func join(
    _ deviceID: String, instance: String = "1", wants address: IPv4Address? = nil
  ) throws -> (client: RawFrameClient, address: IPv4Address) {
    let client = try RawFrameClient(connectingTo: self.address)
    try client.send(.join(JoinRequest(deviceID: deviceID, instance: instance, address: address)), as: .handshake)
    switch try client.receive().message() {
    case .welcome(let welcome): return (client, welcome.address)
    case .refused(let refusal): throw refusal
    default: throw RawFrameClient.Failure.closed
    }
  }
}

extension RawFrameClient {
  /// The next frame of this type; pings among what comes before it are answered, the rest is dropped.
  public func receive(_ type: FrameType) throws -> ReceivedFrame {
    while true {
      let frame = try receive()
      if frame.header.type == type { return frame }
      if frame.header.type == .ping { try send(frameBytes(.pong, frame.payload)) }
    }
  }

  /// The next control message that `choose` takes.
  public func receive<Value>(_ choose: (ControlMessage) -> Value?) throws -> Value {
    while true {
      if let message = try receive(.control).message(), let value = choose(message) { return value }
    }
  }
}
