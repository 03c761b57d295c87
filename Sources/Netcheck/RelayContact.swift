// A connection that ends once the relay has proved its key: the hello and the handshake's first message are sent, and
// the second one is received. The third one, with which a device would show its own key and ask to be admitted, is
// never sent, so the relay keeps nothing.

internal import Noise
package import SystemIO
internal import SystemPackage
internal import Wire

/// A TCP connection to what may be a relay. Every call blocks until its deadline at most.
struct RelayContact: ~Copyable {
  let address: SocketAddress
  /// How long connecting took.
  let connectTime: Duration
  private let descriptor: Descriptor

  /// Why the other end is no relay, or why its handshake ended.
  enum MeetFailure: Error, Equatable {
    case timeout
    case closed
    case failed(Errno)
    /// It speaks another protocol.
    case foreign(String, advice: String? = nil)
    /// It refuses, without proof of its key.
    case refused(String)
    /// It does not prove the key that it shows.
    case notAuthentic
    case otherVersion
  }

  /// What a relay has proved.
  struct Proof {
    let key: PublicKey
    let version: Int
    /// `nil` from a relay of an older release.
    let network: NetworkNotice?
    /// In bytes, of its answer.
    let padding: Int
    /// From the hello to the answer, computing included.
    let time: Duration
  }

  /// `maximumSegment` limits the TCP segments of both ends, in bytes. Throws `timedOut` at the deadline.
  init(connectingTo address: SocketAddress, maximumSegment: Int? = nil, until deadline: Instant) throws(Errno) {
    let begun = Instant.now()
    let socket = try TCPSocket(connectingTo: address, maximumSegment: maximumSegment)
    guard try socket.descriptor.wait(for: .writable, until: deadline) else { throw .timedOut }
    if let error = socket.descriptor.takeSocketError() { throw error }
    connectTime = Instant.now().since(begun)
    self.address = address
    descriptor = socket.takeDescriptor()
  }

  /// The kernel's measurements of the path.
  var path: TCPPath? { descriptor.tcpPath() }

  var local: SocketAddress? { descriptor.localAddress() }

  /// Has the relay prove its key. `hint` says which of its keys is expected, if any. The first message has `padding`
  /// bytes of padding, and the answer of a relay that is not too old has as many.
  func meet(expecting hint: UInt64, padding: Int = 0, until deadline: Instant) throws(MeetFailure) -> Proof {
    let hello = HandshakeHello(keyHint: hint)
    // The private key is new, and its public key is not sent.
    var handshake = Handshake(
      .xx, cipher: .chaCha20Poly1305, role: .initiator, prologue: hello.prologue, key: PrivateKey())
    guard let message = try? handshake.write([UInt8](repeating: 0, count: padding)) else {
      preconditionFailure("the first message is the initiator's")
    }
    let begun = Instant.now()
    try send(FrameHeader.frame(.handshake, payload: hello.bytes + message), until: deadline)
    let (type, answer) = try receive(until: deadline)
    if type == .control, case .refused(let refusal)? = try? ControlMessage.decode(answer) {
      throw .refused(refusal.text)
    }
    guard type == .handshake else { throw .foreign("an unexpected frame") }
    guard let proved = try? answer.withUnsafeBytes({ try handshake.read($0) }) else { throw .notAuthentic }
    guard let greeting = try? RelayGreeting(parsing: proved), hello.versions.contains(greeting.version),
      let key = handshake.remoteKey
    else { throw .otherVersion }
    return Proof(
      key: key, version: Int(greeting.version), network: greeting.network, padding: greeting.padding,
      time: Instant.now().since(begun))
  }

  private func send(_ bytes: [UInt8], until deadline: Instant) throws(MeetFailure) {
    var rest = bytes[...]
    while !rest.isEmpty {
      try wait(for: .writable, until: deadline)
      do throws(Errno) {
        rest = rest.dropFirst(
          try rest.span.bytes.withUnsafeBytes { bytes throws(Errno) in try descriptor.send(bytes) } ?? 0)
      } catch {
        throw Self.failure(error)
      }
    }
  }

  /// The first frame.
  private func receive(until deadline: Instant) throws(MeetFailure) -> (FrameType, [UInt8]) {
    let header: FrameHeader
    let start = try read(FrameHeader.size, until: deadline)
    do throws(WireError) {
      header = try FrameHeader(parsing: start.span.bytes)
    } catch {
      throw Self.foreign(start) ?? .foreign(error.description)
    }
    // No frame before the admission is longer.
    guard header.length <= FrameType.handshake.maximumPayload else {
      throw .foreign("a frame of \(header.length) bytes")
    }
    return (header.type, try read(header.length, until: deadline))
  }

  private func read(_ count: Int, until deadline: Instant) throws(MeetFailure) -> [UInt8] {
    let buffer = RawBuffer(count: max(1, count))
    var bytes: [UInt8] = []
    while bytes.count < count {
      try wait(for: .readable, until: deadline)
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<(count - bytes.count)])
      do throws(Errno) {
        guard let got = try descriptor.read(into: room) else { continue }
        bytes += room[..<got]
        if got > 0 { continue }
      } catch {
        throw Self.failure(error)
      }
      // Too few bytes for a frame may be a line of another protocol.
      throw bytes.isEmpty ? .closed : Self.foreign(bytes) ?? .foreign("\(bytes.count) bytes")
    }
    return bytes
  }

  private func wait(for events: Events, until deadline: Instant) throws(MeetFailure) {
    do throws(Errno) {
      if try descriptor.wait(for: events, until: deadline) { return }
    } catch {
      throw Self.failure(error)
    }
    throw .timeout
  }

  private static func failure(_ error: Errno) -> MeetFailure {
    error == .connectionReset || error == .brokenPipe ? .closed : .failed(error)
  }

  /// `nil`: the bytes show no known protocol.
  private static func foreign(_ bytes: [UInt8]) -> MeetFailure? {
    ForeignProtocol(bytes.span.bytes).map { .foreign($0.name, advice: $0.adviceAtDevice) }
  }
}

/// Whether large packets get through to a relay and back, found by handshakes that fill packets and end early.
package enum PacketSizes: Sendable, Equatable {
  /// Packets of so many bytes get through; from the relay as well, unless it is too old to send them.
  case passed(Int, bothWays: Bool)
  /// Packets of so many bytes are lost, while small ones get through; `smaller` is the largest tried size that does.
  case lost(Int, smaller: Int?)

  /// How long an answer may take: several retransmissions.
  private static let patience = Duration.seconds(2)

  /// Blocks until it is known, or until `deadline`. `nil`: the relay takes no connections, or there was no time.
  package static func find(at relay: SocketAddress, until deadline: Instant) -> PacketSizes? {
    guard let first = attempt(relay, segment: nil, until: deadline) else { return nil }
    if let bothWays = first.bothWays { return .passed(first.size, bothWays: bothWays) }
    for segment in HandshakeHello.segmentSizes where segment < first.segment {
      guard let next = attempt(relay, segment: segment, until: deadline) else { break }
      if next.bothWays != nil { return .lost(first.size, smaller: next.size) }
    }
    return .lost(first.size, smaller: nil)
  }

  /// One handshake with packets of the largest size; `bothWays` is `nil` if there was no answer.
  private static func attempt(
    _ relay: SocketAddress, segment: Int?, until deadline: Instant
  ) -> (size: Int, segment: Int, bothWays: Bool?)? {
    let until = Instant.now().advanced(by: min(patience, deadline.since(.now()) / 2))
    guard let contact = try? RelayContact(connectingTo: relay, maximumSegment: segment, until: until),
      let path = contact.path
    else { return nil }
    let padding = min(path.segment * 2, HandshakeHello.maximumPadding)
    // Headers of IP and TCP, with TCP's time stamps.
    let size = min(path.segment, padding) + (relay.isIPv6 ? 72 : 52)
    do throws(RelayContact.MeetFailure) {
      let proof = try contact.meet(expecting: 0, padding: padding, until: until)
      return (size, path.segment, proof.padding >= padding)
    } catch {
      return error == .timeout ? (size, path.segment, nil) : nil
    }
  }

  /// For people.
  package var finding: String {
    switch self {
    case .passed(let size, bothWays: true): "packets of \(size) bytes get through both ways"
    case .passed(let size, bothWays: false):
      "packets of \(size) bytes get through to the relay, which is too old to send such to try the other way"
    case .lost(let size, let smaller):
      "small packets get through, but packets of \(size) bytes do not"
        + (smaller.map { "; those of \($0) bytes do" } ?? "")
    }
  }

  /// What to do where large packets are lost.
  package static let advice =
    "a link on the path has a smaller MTU than this host's, and a firewall drops the ICMP messages that say so "
    + "(\"fragmentation needed\", \"packet too big\"): let those through, or lower the MTU of this host's link; until "
    + "then mnedc-join connects anew with smaller packets when data is stuck"
}
