// A connection as far as the relay proves who it is: hello and the handshake's first message go out, the second one comes, and that is
// all. The third, by which a device would show its own key and ask to be let in, is never sent, so that nothing is left at the relay.

internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Wire

/// A TCP connection to what may be a relay. For programs that have nothing else to do; every wait has a deadline.
struct RelayContact: ~Copyable {
  let address: SocketAddress
  /// How long connecting took.
  let connectTime: Duration
  private let descriptor: Descriptor

  /// Why there is none.
  enum ConnectFailure: Error, Equatable {
    case timeout
    case failed(Errno)
  }

  /// Why what answers is no relay, or none that goes on.
  enum MeetFailure: Error, Equatable {
    case timeout
    case closed
    case failed(Errno)
    /// It says something else.
    case foreign(String, advice: String? = nil)
    /// It says no, without proof of who it is.
    case refused(String)
    /// It does not prove to have the key that it shows.
    case notAuthentic
    case otherVersion
  }

  /// Who a relay has proved to be.
  struct Proof {
    let key: PublicKey
    let version: Int
    /// The network that it has; `nil` from a relay of an older release.
    let network: NetworkNotice?
    /// How many bytes of padding its answer had.
    let padding: Int
    /// From the question to the answer, with what both ends compute.
    let time: Duration
  }

  /// `maximumSegment` bounds the TCP segments of both ends, in bytes.
  init(
    connectingTo address: SocketAddress, maximumSegment: Int? = nil, until deadline: Instant
  ) throws(ConnectFailure) {
    let begun = Instant.now()
    do {
      let socket = try TCPSocket(connectingTo: address, maximumSegment: maximumSegment)
      guard try socket.descriptor.wait(for: .writable, until: deadline) else { throw ConnectFailure.timeout }
      if let error = socket.descriptor.takeSocketError() { throw ConnectFailure.failed(error) }
      connectTime = Instant.now().since(begun)
      self.address = address
      descriptor = socket.takeDescriptor()
    } catch let failure as ConnectFailure {
      throw failure
    } catch let error as Errno {
      throw .failed(error)
    } catch {
      fatalError("no other error is thrown here")
    }
  }

  /// What the kernel knows of the way.
  var path: TCPPath? { descriptor.tcpPath() }

  var local: SocketAddress? { descriptor.localAddress() }

  /// Has the relay prove who it is. `hint` says which of its keys is expected, if one is; the first message carries so
  /// many bytes of padding, and a relay that is not too old sends as many back.
  func meet(expecting hint: UInt64, padding: Int = 0, until deadline: Instant) throws(MeetFailure) -> Proof {
    let hello = HandshakeHello(keyHint: hint)
    // A key of this one contact; it does not even go out.
    var handshake = Handshake(
      .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: PrivateKey())
    guard let message = try? handshake.write([UInt8](repeating: 0, count: padding)) else {
      preconditionFailure("the first message is the initiator's")
    }
    let payload = hello.bytes + message
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.withUnsafeMutableBytes { FrameHeader(type: .handshake, length: payload.count).write(to: $0) }
    let begun = Instant.now()
    try send(frame + payload, until: deadline)
    let (type, answer) = try receive(until: deadline)
    switch type {
    case .handshake: break
    case .control:
      guard case .refused(let refusal)? = try? ControlMessage.decode(answer) else {
        throw .foreign("an unexpected frame")
      }
      throw .refused(refusal.text)
    default: throw .foreign("an unexpected frame")
    }
    let proved: [UInt8]
    do {
      proved = try answer.withUnsafeBytes { try handshake.read($0) }
    } catch {
      throw .notAuthentic
    }
    guard let greeting = try? RelayGreeting(parsing: proved), hello.versions.contains(greeting.version),
      let key = handshake.remoteKey
    else { throw .otherVersion }
    return Proof(
      key: key, version: Int(greeting.version), network: greeting.network, padding: greeting.padding,
      time: Instant.now().since(begun))
  }

  private func send(_ bytes: [UInt8], until deadline: Instant) throws(MeetFailure) {
    do {
      var rest = bytes[...]
      while !rest.isEmpty {
        guard try descriptor.wait(for: .writable, until: deadline) else { throw MeetFailure.timeout }
        if let count = try rest.withUnsafeBytes({ try descriptor.send($0) }) { rest = rest.dropFirst(count) }
      }
    } catch {
      throw Self.failure(error)
    }
  }

  /// The first frame that comes.
  private func receive(until deadline: Instant) throws(MeetFailure) -> (FrameType, [UInt8]) {
    let header: FrameHeader
    let start = try read(FrameHeader.size, until: deadline)
    do throws(WireError) {
      header = try FrameHeader(parsing: start.span.bytes)
    } catch {
      if let other = ForeignProtocol(start.span.bytes) { throw .foreign(other.name, advice: other.adviceAtDevice) }
      throw .foreign(error.description)
    }
    // Before a device is in, no frame is longer.
    guard header.length <= FrameType.handshake.maximumPayload else {
      throw .foreign("a frame of \(header.length) bytes")
    }
    return (header.type, try read(header.length, until: deadline))
  }

  private func read(_ count: Int, until deadline: Instant) throws(MeetFailure) -> [UInt8] {
    let buffer = RawBuffer(count: max(1, count))
    var bytes: [UInt8] = []
    do {
      while bytes.count < count {
        guard try descriptor.wait(for: .readable, until: deadline) else { throw MeetFailure.timeout }
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<(count - bytes.count)])
        guard let got = try descriptor.read(into: room) else { continue }
        // Who sends too little to be a frame before it closes may have said a line of another protocol.
        guard got > 0 else {
          if let other = ForeignProtocol(bytes.span.bytes) {
            throw MeetFailure.foreign(other.name, advice: other.adviceAtDevice)
          }
          throw bytes.isEmpty ? MeetFailure.closed : MeetFailure.foreign("\(bytes.count) bytes")
        }
        bytes += room[..<got]
      }
    } catch {
      throw Self.failure(error)
    }
    return bytes
  }

  private static func failure(_ error: any Error) -> MeetFailure {
    switch error {
    case let failure as MeetFailure: failure
    case Errno.connectionReset, Errno.brokenPipe: .closed
    case let errno as Errno: .failed(errno)
    default: fatalError("no other error is thrown here")
    }
  }
}
