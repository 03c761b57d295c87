// The journey of a packet out of this device:
//
//   the TUN → `pump`: into a buffer behind room for the headers → small packets of one flow share a frame → `close`: the
//   frame is sealed where it lies → `flush`: everything read so far goes to the uplink in one call
//
// or, while there is no session with the peer, to the peer's link, where it waits for one. And into it: `deliver`, opened in
// the receive buffer where it lies, from there to the TUN.

internal import Link
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

/// What a device is called in its network.
struct Membership: Equatable {
  var deviceID: String
  var address: IPv4Address
  var pool: IPv4Prefix
  var relayAddress: IPv4Address
}

/// The device's data path, both ways. Owned by the device's thread.
final class PacketPump {
  // Set once.
  private let tun: any PacketDevice
  private let buffer = RawBuffer(count: bufferSize)
  private let onWarning: (String) -> Void

  /// The connection to the relay, while there is one.
  var uplink: FrameConnection?
  private var membership: Membership
  private(set) var peers = PeerTable()
  private lazy var links = PeerLinks(settings, own: own, on: events, delegate: self)
  private let settings: PeerSettings
  private let events: EventLoop
  private var unlocated = UnlocatedPackets()
  /// Counts the connections to the relay.
  private var generation = 0
  private var copies = RateLimit(perSecond: 2000, burst: 4000)
  private var packetCounters = DeviceCounters()

  // What `buffer` holds: sealed frames up to `end`, and behind them one that may grow.
  private var end = 0
  private var frames = 0
  private var open: OpenFrame?
  // The link that the last packet went to.
  private var lastDestination: IPv4Address?
  private var lastLink: PeerLink?

  /// A frame that is not sealed yet; it begins where the sealed ones end.
  private struct OpenFrame {
    var header: FrameHeader
    let session: PeerSession
  }

  private static let bufferSize = 256 << 10
  /// A packet up to this size may share a frame; a larger one is not worth moving.
  private static let smallPacket = 4096
  /// A shared frame is not made longer than this.
  private static let sharedFrame = 32 << 10
  /// Packets read in one go before the other direction has its turn.
  private static let batch = 256
  /// What stands before a frame's first packet.
  private static let prefix = FrameHeader.size + SealedHeader.size + PacketRecord.prefixSize

  init(
    _ tun: any PacketDevice, _ membership: Membership, _ settings: PeerSettings, on events: EventLoop,
    onWarning: @escaping (String) -> Void
  ) {
    self.tun = tun
    self.membership = membership
    self.settings = settings
    self.events = events
    self.onWarning = onWarning
    precondition(room <= Self.bufferSize)
  }

  private var own: PeerName { PeerName(address: membership.address, deviceID: membership.deviceID) }

  /// The bytes that one more packet can take, in a frame of its own behind an open one.
  private var room: Int { TransportCipher.tagSize + Self.prefix + tun.maximumRead + TransportCipher.tagSize }

  var counters: DeviceCounters {
    var result = packetCounters
    result.links = links.counters
    return result
  }

  func rejoin(_ membership: Membership) {
    self.membership = membership
    links.own = own
    lastDestination = nil
    peers.expectSnapshot()
    generation += 1
    unlocated.await(peers.peers.keys)
    askForMissed(generation, until: Instant.now().advanced(by: UnlocatedPackets.returnTime))
  }

  /// Asks the relay for those that packets wait for and that were there before it was lost, until they are back.
  private func askForMissed(_ generation: Int, until end: Instant) {
    events.schedule(after: .seconds(1)) { [weak self] in
      guard let self, self.generation == generation else { return }
      let now = Instant.now()
      guard now < end else { return self.unlocatable(self.unlocated.endAwaiting(), at: now) }
      for address in self.unlocated.awaited { self.locate(address) }
      self.askForMissed(generation, until: end)
    }
  }

  private func locate(_ address: IPv4Address) {
    uplink?.send(control: ControlMessage.locate(Locate(address: address)).frame())
  }

  /// Whether the relay has said who is there since the connection was made.
  var knowsWhoIsThere: Bool { peers.isComplete }

  /// The device has another key: what was agreed on with the former one is of no use.
  func replaceKey(with key: PrivateKey) {
    lastDestination = nil
    links.replaceKey(with: key)
  }

  /// The relay says who has come and gone.
  func update(_ update: PeerUpdate) -> PeerTable.Outcome {
    lastDestination = nil
    let outcome = peers.apply(update, in: membership.pool, except: membership.address)
    for address in update.dismissed ?? [] { links.drop(address) }
    links.update(peers)
    for address in unlocated.addresses {
      guard let peer = peers.peers[address] else { continue }
      for packet in unlocated.take(address) { packet.withUnsafeBytes { wait($0, peer) } }
    }
    if peers.isComplete { unlocated.areBack { peers.peers[$0] != nil } }
    return outcome
  }

  // MARK: Out

  /// Reads what the TUN has, up to a batch, and sends it.
  func pump() throws(Errno) {
    defer { flush() }
    for _ in 0..<Self.batch {
      if buffer.count - end - (open?.header.frameSize ?? 0) < room { flush() }
      guard let count = try tun.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[place...])) else {
        return
      }
      route(UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[place..<place + count]))
    }
  }

  /// Where a packet is put so that a frame of its own can begin before it, behind the open one and its tag.
  private var place: Int {
    let start = open.map { end + $0.header.frameSize + TransportCipher.tagSize } ?? end
    return start + Self.prefix
  }

  private func flush() {
    close()
    guard frames > 0 else { return }
    uplink?.send(FrameRun(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<end]), frames: frames))
    end = 0
    frames = 0
  }

  /// Seals the open frame.
  private func close() {
    guard var frame = open else { return }
    open = nil
    frame.header.length += TransportCipher.tagSize
    let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[end..<end + frame.header.frameSize])
    frame.header.write(to: bytes)
    frame.session.seal(UnsafeMutableRawBufferPointer(rebasing: bytes[FrameHeader.size...]))
    end += bytes.count
    frames += 1
  }

  /// Decides about a packet, which stands at `place`.
  private func route(_ record: UnsafeMutableRawBufferPointer) {
    guard record.count > OffloadHeader.size else {
      packetCounters.malformed += 1
      return
    }
    let packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
    switch IPPeek(packet.bytes) {
    case nil: packetCounters.malformed += 1
    case .ipv6: packetCounters.unroutable += 1
    case .ipv4(let peek):
      if peek.destination == lastDestination, let session = lastLink?.current {
        append(record.count, peek, session)
      } else if let peer = peers.peers[peek.destination] {
        send(record, peek, to: peer)
      } else if isForAll(peek.destination) {
        sendToAll(record, peek)
      } else {
        askFor(record, packet, peek)
      }
    }
  }

  private func send(_ record: UnsafeMutableRawBufferPointer, _ peek: IPv4Peek, to peer: Peer) {
    guard let link = links.links[peer.address], let session = link.current else {
      return wait(UnsafeRawBufferPointer(record), peer)
    }
    lastDestination = peek.destination
    lastLink = link
    append(record.count, peek, session)
  }

  /// Keeps a packet for a peer until there is a session.
  private func wait(_ record: UnsafeRawBufferPointer, _ peer: Peer) {
    guard let link = links.link(to: peer) else {
      packetCounters.unroutable += 1
      return
    }
    packetCounters.overdue += link.pending.add(record)
    if link.next == nil { links.begin(link) }
  }

  /// Makes the record at `place` a part of the frames.
  private func append(_ count: Int, _ peek: IPv4Peek, _ session: PeerSession) {
    packetCounters.sent += 1
    let length = PacketRecord.prefixSize + count
    let start = place - PacketRecord.prefixSize
    let record = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<start + length])
    PacketRecord.writePrefix(length: count, to: record)
    if let frame = open, frame.session === session, frame.header.flow == peek.flow, count <= Self.smallPacket,
      frame.header.length + length <= Self.sharedFrame
    {
      let tail = end + frame.header.frameSize
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[tail...]).copyMemory(from: UnsafeRawBufferPointer(record))
      open?.header.length += length
    } else {
      close()
      let header = FrameHeader(
        type: .data, length: SealedHeader.size + length, address: peek.destination, flow: peek.flow)
      open = OpenFrame(header: header, session: session)
    }
  }

  private func isForAll(_ destination: IPv4Address) -> Bool {
    destination.isMulticast || destination == membership.pool.broadcast || destination == .limitedBroadcast
  }

  /// Sends a copy to every peer, as often as is decent.
  private func sendToAll(_ record: UnsafeMutableRawBufferPointer, _ peek: IPv4Peek) {
    let peers = peers.peers
    guard !peers.isEmpty, copies.allow(cost: Double(peers.count), at: .now()) else {
      packetCounters.limited += peers.isEmpty ? 0 : 1
      return
    }
    let copy = Array(record)
    copy.withUnsafeBytes { copy in
      for peer in peers.values {
        if let session = links.links[peer.address]?.current {
          appendCopy(of: copy, peek, to: peer.address, session)
        } else {
          wait(copy, peer)
        }
      }
    }
  }

  /// Adds a packet that is not in the buffer.
  private func appendCopy(
    of record: UnsafeRawBufferPointer, _ peek: IPv4Peek, to address: IPv4Address, _ session: PeerSession
  ) {
    if buffer.count - end - (open?.header.frameSize ?? 0) < room { flush() }
    // Frames of different peers differ in address alone.
    close()
    UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[place...]).copyMemory(from: record)
    append(record.count, peek, session)
    open?.header.address = address
  }

  // MARK: Nobody there

  /// A packet for an address of which no peer is known: the relay may know better.
  private func askFor(
    _ record: UnsafeMutableRawBufferPointer, _ packet: UnsafeRawBufferPointer, _ peek: IPv4Peek
  ) {
    let now = Instant.now()
    if membership.pool.contains(peek.destination), !unlocated.isAbsent(peek.destination, at: now) {
      let isNew = unlocated.add(UnsafeRawBufferPointer(record), for: peek.destination, at: now)
      if isNew { locate(peek.destination) }
    } else {
      packetCounters.unroutable += 1
      tell(reply(to: packet, peek), at: now)
    }
  }

  /// The relay says that nobody has this address.
  func markAbsent(_ address: IPv4Address) {
    let now = Instant.now()
    unlocatable(unlocated.markAbsent(address, at: now), at: now)
  }

  /// Tells the senders of packets that cannot be delivered.
  private func unlocatable(_ records: [[UInt8]], at now: Instant) {
    for record in records {
      packetCounters.unroutable += 1
      record.withUnsafeBytes { record in
        let packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
        if case .ipv4(let peek)? = IPPeek(packet.bytes) { tell(reply(to: packet, peek), at: now) }
      }
    }
  }

  /// What the sender of a packet on this device is told if it cannot be delivered.
  private func reply(to packet: UnsafeRawBufferPointer, _ peek: IPv4Peek) -> [UInt8]? {
    // Nothing about what may be an ICMP error itself (RFC 1122, section 3.2.2): of ICMP, about echoes alone.
    let isICMP = peek.transport == 1
    guard !isICMP || packet.count > peek.headerLength && packet[peek.headerLength] == 8 else { return nil }
    // The kernel takes no packet that claims to come from this host itself.
    let source = membership.relayAddress == membership.address ? peek.destination : membership.relayAddress
    return UnreachableReply.packet(quoting: packet, from: source, to: peek.source)
  }

  private func tell(_ reply: [UInt8]?, at now: Instant) {
    guard let reply, unlocated.mayReply(at: now) else { return }
    _ = reply.withUnsafeBytes { tun.write($0) }
  }

  // MARK: In

  /// Opens a data frame's payload and writes its packets to the TUN; what is not from `source` or not for this device is
  /// dropped.
  func deliver(_ payload: UnsafeMutableRawBufferPointer, from source: IPv4Address) {
    // A peer that connects anew may be faster than the relay's word of it: TCP would miss what it sends first for long.
    guard let peer = peers.peers[source] ?? links.links[source]?.peer else {
      packetCounters.misaddressed += 1
      return
    }
    guard let content = links.open(payload, from: peer) else { return }
    var offset = 0
    while offset < content.count {
      guard let range = try? PacketRecord.range(in: content.bytes, at: offset), range.count > OffloadHeader.size else {
        packetCounters.malformed += 1
        return
      }
      offset = range.upperBound
      let packet = UnsafeRawBufferPointer(rebasing: content[(range.lowerBound + OffloadHeader.size)..<range.upperBound])
      guard case .ipv4(let peek)? = IPPeek(packet.bytes) else {
        packetCounters.malformed += 1
        continue
      }
      guard peek.source == source, peek.destination == membership.address || isForAll(peek.destination) else {
        packetCounters.misaddressed += 1
        continue
      }
      if tun.write(UnsafeRawBufferPointer(rebasing: content[range])) {
        packetCounters.received += 1
      } else {
        packetCounters.malformed += 1
      }
    }
  }

  /// Takes a peer-handshake frame's payload.
  func deliver(handshake payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    links.receive(handshake: payload, from: source, peers.peers[source])
  }
}

extension PacketPump: PeerLinksDelegate {
  func send(handshake frame: [UInt8]) {
    frame.withUnsafeBytes { uplink?.send(FrameRun($0, frames: 1)) }
  }

  /// Sends what has waited; a lone header if nothing has, so that the responder knows that the session is there.
  func linkIsReady(_ link: PeerLink, isInitiator: Bool) {
    guard let session = link.current else { return }
    let address = link.peer.address
    for packet in link.pending.takeAll() {
      packet.withUnsafeBytes { record in
        let packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
        guard case .ipv4(let peek)? = IPPeek(packet.bytes) else { return }
        appendCopy(of: record, peek, to: address, session)
      }
    }
    if isInitiator, session.sent == 0, open == nil {
      let header = FrameHeader(type: .data, length: SealedHeader.size, address: address)
      open = OpenFrame(header: header, session: session)
    }
    flush()
  }

  func linkHasFailed(_ link: PeerLink) {
    unlocatable(link.pending.takeAll(), at: .now())
  }

  func linkIsSuspicious(_ line: String) {
    onWarning(line)
  }
}

/// What became of a device's packets.
public struct DeviceCounters: Sendable, Equatable {
  /// Packets from the TUN to peers, and from peers to the TUN. A super-packet counts once.
  public var sent = 0
  public var received = 0
  /// Dropped: no valid packet.
  public var malformed = 0
  /// Dropped: for an address that nobody has, or outside the network.
  public var unroutable = 0
  /// Dropped: from a peer, but not from its address or not for this device.
  public var misaddressed = 0
  /// Dropped: broadcast or multicast beyond the limit.
  public var limited = 0
  /// Dropped: too many waited for a session with their peer.
  public var overdue = 0
  /// What the sessions with peers have seen.
  public var links = PeerLinkCounters()
}
