public import Admission
internal import Logging
public import Noise
public import Relay
public import Store
public import SystemIO
public import Wire

/// A relay on loopback, in this process, on a port of its own.
public final class TestRelay: Sendable {
  public let relay: Relay
  private let state: StateDirectory
  public let store: any NetworkStore

  /// What it began with, and what an operator was told of that.
  public let network: RelayNetwork
  public let notices: [String]

  /// Outlives the relay that is started again.
  private final class StateDirectory: Sendable {
    let directory = TemporaryDirectory()
  }

  /// The port that it listens on, so that another one can take its place.
  public var address: SocketAddress { relay.addresses[0] }

  /// `state` is a directory that outlives the relay; without one, it has its own. With `records`, it has no file.
  /// Clients in tests answer pings only while they receive, so the usual `keepalive` grants them long silences.
  public init(
    pool: String = "10.0.0.0/24", pool6: Pool6Choice = .auto, leaseAge: Duration = .seconds(30 * 86_400),
    fixed: [String: IPv4Address] = [:], keepalive: Duration = .seconds(60), idleKeepalive: Duration? = nil,
    port: UInt16 = 0, threads: Int = 2, maximumUnauthenticated: Int = 4096, returnTime: Duration = .zero,
    admission: AdmissionMode = .open,
    keys: RelayKeys = RelayKeys(PrivateKey()), state directory: String? = nil, records: (any NetworkStore)? = nil,
    peerList: Int = 1000,
    connections: Int = .max, queueLimit: Int = 4 << 20, memory: Int = 256 << 20
  ) throws {
    guard let prefix = IPv4Prefix(pool), let listen = SocketAddress(numeric: "127.0.0.1", port: port) else {
      preconditionFailure("a test names a pool and a port")
    }
    state = StateDirectory()
    store = try records ?? SQLiteStore(directory: directory ?? state.directory.path)
    (network, notices) = try RelayNetwork.settle(in: store, pool: .prefix(prefix), pool6: pool6, fixed: fixed)
    var settings = RelaySettings(keys: keys, store: store, network: network)
    settings.leaseAge = leaseAge
    settings.reloadable.admission = admission
    settings.reloadable.keepalive = keepalive
    settings.reloadable.idleKeepalive = idleKeepalive ?? keepalive
    settings.reloadable.queueLimit = queueLimit
    settings.threads = threads
    settings.peerList = peerList
    settings.memory = memory
    settings.connections = connections
    settings.maximumUnauthenticated = maximumUnauthenticated
    settings.returnTime = returnTime
    relay = try Self.start(settings, on: listen)
  }

  /// The relay `former`, which has been stopped, started again: with its state, at its port.
  public init(inPlaceOf former: TestRelay) throws {
    state = former.state
    store = try SQLiteStore(directory: state.directory.path)
    network = former.relay.network
    notices = []
    var settings = former.relay.settings
    settings.store = store
    settings.network = network
    relay = try Self.start(settings, on: former.address)
  }

  private static func start(_ settings: RelaySettings, on address: SocketAddress) throws -> Relay {
    let relay = try Relay(
      settings, RelayListeners(on: [address]), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    relay.start()
    return relay
  }

  public func stop() {
    relay.stop()
    store.close()
  }

  /// The relay's state, as its loops report it.
  public func status() -> RelayStatus? {
    let answer = Mailbox<RelayStatus>()
    relay.status { answer.put($0) }
    return answer.waitFor(1).first
  }

  /// A client that has asked to join, and was not answered yet.
  public func ask(
    _ deviceID: String, instance: String = "1", key: PrivateKey? = nil, token: Token? = nil,
    address: IPv4Address? = nil, addressRequired: Bool? = nil, hint: UInt64 = 0
  ) throws -> RawFrameClient {
    let client = try RawFrameClient(connectingTo: self.address)
    try client.join(
      JoinRequest(
        deviceID: deviceID, instance: instance, address: address, addressRequired: addressRequired, token: token,
        ciphers: CipherList([.chaCha20Poly1305])),
      key: key ?? testKey(deviceID), hint: hint)
    return client
  }

  /// A client that has joined, and its address.
  public func join(
    _ deviceID: String, instance: String = "1", wants address: IPv4Address? = nil, key: PrivateKey? = nil,
    token: Token? = nil
  ) throws -> (client: RawFrameClient, address: IPv4Address) {
    let client = try ask(deviceID, instance: instance, key: key, token: token, address: address)
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
    let deadline = Instant.now().advanced(by: generousWait)
    while true {
      let frame = try receive()
      guard Instant.now() < deadline else { throw Failure.timeout }
      if frame.header.type == type { return frame }
      if frame.header.type == .ping { try send(sealing: frameBytes(.pong, frame.payload)) }
    }
  }

  /// The next control message that `choose` takes.
  public func receive<Value>(_ choose: (ControlMessage) -> Value?) throws -> Value {
    while true {
      if let message = try receive(.control).message(), let value = choose(message) { return value }
    }
  }
}

/// The key that a device of this ID has in the tests, unless they say otherwise.
public func testKey(_ deviceID: String) -> PrivateKey {
  guard let key = PrivateKey(sha256(Array(deviceID.utf8))) else { preconditionFailure("any 32 bytes are a key") }
  return key
}

/// A peer with the key that it has in the tests, and every cipher.
public func testPeer(_ address: IPv4Address, _ deviceID: String) -> Peer {
  Peer(
    address: address, deviceID: deviceID, key: testKey(deviceID).publicKey,
    ciphers: CipherList([.aes256GCM, .chaCha20Poly1305]))
}
