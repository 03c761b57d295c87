import SystemIO
import SystemPackage
import TestSupport
import Testing
import Wire

@Suite struct TCPTests {
  /// Whether this machine has IPv6 on the loopback.
  static let hasIPv6 =
    (try? SocketAddress(numeric: "::1", port: 0).map { address throws in _ = try TCPListener(on: address) }) != nil

  private func listener(_ host: String) throws -> TCPListener {
    try TCPListener(on: try #require(SocketAddress(numeric: host, port: 0)))
  }

  /// Connects to `host` at the listener's port, and sends a byte each way.
  private func checkConnection(from host: String, to listener: borrowing TCPListener) throws -> String {
    let target = try #require(SocketAddress(numeric: host, port: listener.address.port))
    let client = RawFrameClient(try TCPSocket(connectingTo: target).takeDescriptor())
    // Connected already, or else the kernel queues this until it is.
    var accepted: TCPSocket?
    let came = try wait {
      accepted = try listener.accept()
      switch accepted {
      case nil: return false
      case .some: return true
      }
    }
    guard came, let socket = accepted.take() else { throw Errno.timedOut }
    let peer = socket.peer.host
    let server = RawFrameClient(socket.takeDescriptor())
    try client.send(frameBytes(.ping, [1, 2]))
    #expect(try server.receive().payload == [1, 2])
    try server.send(frameBytes(.pong, [3]))
    #expect(try client.receive().payload == [3])
    return peer
  }

  @Test func `an IPv4 listener takes IPv4 connections`() throws {
    let listener = try listener("127.0.0.1")
    #expect(listener.address.port != 0)
    #expect(!listener.address.isIPv6)
    #expect(try checkConnection(from: "127.0.0.1", to: listener) == "127.0.0.1")
  }

  @Test(.enabled(if: hasIPv6)) func `an IPv6 listener takes IPv6 connections`() throws {
    let listener = try listener("::1")
    #expect(listener.address.isIPv6)
    #expect(try checkConnection(from: "::1", to: listener) == "::1")
  }

  @Test(.enabled(if: hasIPv6)) func `a listener on every IPv6 address takes IPv4 connections too`() throws {
    let listener = try listener("::")
    #expect(try checkConnection(from: "::1", to: listener) == "::1")
    #expect(try checkConnection(from: "127.0.0.1", to: listener) == "127.0.0.1")
  }

  @Test func `nothing to accept is no error`() throws {
    let listener = try listener("127.0.0.1")
    let socket = try listener.accept()
    switch socket {
    case nil: break
    case .some: Issue.record("somebody connected")
    }
  }

  @Test func `a taken port is an address in use`() throws {
    let first = try listener("127.0.0.1")
    #expect(throws: Errno.addressInUse) { _ = try TCPListener(on: first.address) }
  }

  @Test func `a port is free again once its listener is gone`() throws {
    let address: SocketAddress
    do {
      let first = try listener("127.0.0.1")
      address = first.address
      _ = try checkConnection(from: "127.0.0.1", to: first)
    }
    // Another program may have got the port meanwhile, which would be no fault of ours, but hardly ever does.
    let second = try TCPListener(on: address)
    #expect(second.address == address)
  }

  @Test func `a refused connection shows when it is writable`() throws {
    let address: SocketAddress
    do {
      let listener = try listener("127.0.0.1")
      address = listener.address
    }
    #expect(throws: Errno.connectionRefused) { _ = try RawFrameClient(connectingTo: address) }
  }

  @Test func `a local address that is not ours cannot be listened on`() throws {
    let address = try #require(SocketAddress(numeric: "192.0.2.1", port: 0))
    #expect(throws: Errno.addressNotAvailable) { _ = try TCPListener(on: address) }
  }

  @Test(arguments: ["192.0.2.1", "2001:db8::1"])
  func `an address that may come later can be listened on`(host: String) throws {
    guard !host.contains(":") || Self.hasIPv6 else { return }
    let address = try #require(SocketAddress(numeric: host, port: 0))
    let listener = try TCPListener(on: address, mayAwaitAddress: true)
    let (isAwaiting, place) = (listener.isAwaitingAddress, listener.address)
    #expect(isAwaiting && place.host == host && place.port != 0)
    let datagrams = try UDPSocket(on: address, mayAwaitAddress: true).address
    #expect(datagrams.host == host)
    #expect(throws: Errno.addressNotAvailable) { _ = try UDPSocket(on: address) }
    let own = try TCPListener(on: try #require(SocketAddress(numeric: "127.0.0.1", port: 0)), mayAwaitAddress: true)
    let hasOwn = !own.isAwaitingAddress
    #expect(hasOwn)
  }

  @Test func `tuning suits TCP and leaves other sockets alone`() throws {
    let tuning = TCPTuning(unsentLimit: 128 << 10, userTimeout: .seconds(20))
    let listener = try listener("127.0.0.1")
    let socket = try TCPSocket(connectingTo: listener.address)
    try socket.descriptor.tune(tuning)
    let pair = try SocketPair()
    try pair.first.tune(tuning)
  }

  @Test func `a send to a closed peer is a broken pipe and no signal`() throws {
    let pair = try SocketPair()
    pair.second.shutDown()
    #expect(throws: Errno.brokenPipe) { try [UInt8(1)].withUnsafeBytes { _ = try pair.first.send($0) } }
  }
}

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1:3334"), ("2001:db8::1", "[2001:db8::1]:3334"), ("::", "[::]:3334"),
    ("::ffff:192.0.2.1", "192.0.2.1:3334"),
  ])
  func `a numeric address is shown as people write it`(host: String, shown: String) throws {
    let address = try #require(SocketAddress(numeric: host, port: 3334))
    #expect(address.description == shown)
    #expect(address.port == 3334)
    #expect(address.isIPv6 == host.contains(":"))
    #expect(address == SocketAddress(numeric: host, port: 3334))
    #expect(address != SocketAddress(numeric: host, port: 3335))
  }

  @Test(arguments: ["", "localhost", "192.0.2", "192.0.2.256", "2001:db8::1::", "[::1]", "192.0.2.1:80", " "])
  func `what is no numeric address is refused without a look-up`(host: String) {
    // An old short form of IPv4 is one to the C library.
    #expect(host == "192.0.2" || SocketAddress(numeric: host, port: 1) == nil)
  }
}
