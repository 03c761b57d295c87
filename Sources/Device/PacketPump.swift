// The journey of a packet out of this device:
//
//   the TUN → `pump`: into a buffer behind room for the headers → small packets of one flow share a frame, and super-packets for
//   a slow peer are divided → `close`: the frame is sealed where it lies → `flush`: everything read so far goes to the uplink in
//   one call
//
// or, while there is no session with the peer, to the peer's link, where it waits for one. And into it: `deliver`, opened in
// the receive buffer where it lies, from there to the TUN.

package import Link
internal import Noise
package import SystemIO
package import SystemPackage
package import Tun
package import Wire

/// The device's data path, both ways. Owned by the device's thread. What is `package` is for Tests/Allocations.
package final class PacketPump {
  // Set once.
  private let tun: any PacketDevice
  private let buffer = RawBuffer(count: bufferSize)
  private let divider = SuperPacketDivider()
  private var joiner = DatagramJoiner()
  /// Where a super-packet is divided from.
  private let whole: RawBuffer
  private let onWarning: (String) -> Void

  /// The connection to the relay, while there is one.
  package var uplink: FrameConnection?
  private(set) var membership: Membership
  private(set) var peers = PeerTable()
  /// Who has to do with the messages between devices; without it they are ignored.
  var exchange: PeerExchange?
  private(set) lazy var links = PeerLinks(settings, own: own, on: events, delegate: self)
  private let settings: PeerSettings
  private let events: EventLoop
  private var unlocated = UnlocatedPackets()
  /// Counts the connections to the relay.
  private var generation = 0
  private var copies = RateLimit(perSecond: 2000, burst: 4000)
  /// How often the relay may be asked who has sent something.
  private var questions = RateLimit(perSecond: 50, burst: 100)
  private var packetCounters = DeviceCounters()

  // What `buffer` holds: sealed frames up to `end`, and behind them one that may grow.
  private var end = 0
  private var frames = 0
  private var open: OpenFrame?
  /// When the last packets were read.
  private var readAt = Instant.now()
  /// What the connection to the relay takes in a few milliseconds, if that is little.
  private var uplinkLimit = Int.max
  // The link that the last packet went to.
  private var lastDestination: IPv4Address?
  private var lastLink: PeerLink?

  /// A frame that is not sealed yet; it begins where the sealed ones end.
  private struct OpenFrame {
    var header: FrameHeader
    let session: PeerSession
    /// Where its last packet is in `buffer`, behind the record's prefix.
    var last = 0..<0
  }

  /// So much goes to the uplink in one call at the most: seven super-packets, so that bulk takes few turns.
  private static let bufferSize = 512 << 10
  /// A packet up to this size may share a frame; a larger one is not worth moving.
  private static let smallPacket = 4096
  /// A shared frame is not made longer than this.
  private static let sharedFrame = 32 << 10
  /// Packets read in one go before the other direction has its turn.
  private static let batch = 256
  /// What stands before a frame's first packet.
  private static let prefix = FrameHeader.size + SealedHeader.size + PacketRecord.prefixSize

  package init(
    _ tun: any PacketDevice, _ membership: Membership, _ settings: PeerSettings, on events: EventLoop,
    onWarning: @escaping (String) -> Void
  ) {
    self.tun = tun
    whole = RawBuffer(count: tun.maximumRead)
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

  /// The terms of the lease have changed while the connection holds.
  func change(_ membership: Membership) {
    self.membership = membership
    links.own = own
    lastDestination = nil
  }

  /// There is another connection to the relay.
  func rejoin(_ membership: Membership) {
    change(membership)
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
      for address in self.unlocated.awaited { self.ask(who: address) }
      self.askForMissed(generation, until: end)
    }
  }

  /// Whether the relay has said who is there since the connection was made.
  var knowsWhoIsThere: Bool { peers.isComplete }

  /// The device has another key: what was agreed on with the former one is of no use.
  func replaceKey(with key: PrivateKey) {
    lastDestination = nil
    links.replaceKey(with: key)
  }

  /// Other keys of peers are pinned.
  func pin(_ keys: [String: PublicKey]) {
    lastDestination = nil
    links.pin(keys)
  }

  /// The relay says who has come and gone.
  package func update(_ update: PeerUpdate, onEvent: (PeerEvent) -> Void = { _ in }) -> PeerTable.Outcome {
    lastDestination = nil
    let outcome = peers.apply(update, in: membership.pool, except: membership.address, onEvent: onEvent)
    for address in update.dismissed ?? [] { links.drop(address) }
    links.update(peers)
    // A partial update begins with no peers, so ask for those with whom there are links: as many as the relay answers
    // at once.
    if update.partial == true { for address in links.links.keys.prefix(Sought.maximumWatched) { ask(who: address) } }
    unlocated.dropOutdated(at: .now())
    for address in unlocated.addresses {
      guard let peer = peers.peers[address] else { continue }
      for packet in unlocated.take(address) { packet.withUnsafeBytes { sendCopy(of: $0, to: peer) } }
    }
    flush()
    if peers.isComplete { unlocated.areBack { peers.peers[$0] != nil } }
    return outcome
  }

  // MARK: Out

  /// Reads what the TUN has, up to a batch, and sends it.
  package func pump() throws(Errno) {
    defer { flush() }
    readAt = .now()
    links.catchUp(at: readAt)
    uplinkLimit = uplink?.shortRun ?? .max
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

  func flush() {
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
    guard let peek = IPPeek(packet.bytes) else {
      packetCounters.malformed += 1
      return
    }
    switch membership.target(of: peek) {
    case .lease(let address):
      if address == lastDestination, let link = lastLink, let session = link.current {
        send(record, peek.flow, on: link, session)
      } else if let peer = peers.peers[address] {
        send(record, peek.flow, to: peer)
      } else {
        askFor(address, record, packet, peek)
      }
    case .everybody:
      sendToAll(record, peek.flow)
    case .outside:
      packetCounters.unroutable += 1
      tellSender(of: packet, peek, at: .now())
    }
  }

  private func send(_ record: UnsafeMutableRawBufferPointer, _ flow: UInt16, to peer: Peer) {
    guard let link = links.links[peer.address], let session = link.current else {
      return wait(UnsafeRawBufferPointer(record), peer)
    }
    lastDestination = peer.address
    lastLink = link
    send(record, flow, on: link, session)
  }

  /// Makes the record at `place` a part of the frames: in pieces, if whole it would hold others up for too long.
  private func send(_ record: UnsafeMutableRawBufferPointer, _ flow: UInt16, on link: PeerLink, _ session: PeerSession)
  {
    if record.count > frameLimit(link), divide(UnsafeRawBufferPointer(record), flow, on: link, session) { return }
    append(record.count, flow, on: link, session)
  }

  /// How long a frame to the peer may be: what is read for it may be more than the connection to the relay takes.
  private func frameLimit(_ link: PeerLink) -> Int { min(link.frameLimit.bytes, uplinkLimit) }

  /// False: it is no super-packet, or none that can be divided.
  private func divide(_ record: UnsafeRawBufferPointer, _ flow: UInt16, on link: PeerLink, _ session: PeerSession)
    -> Bool
  {
    // The parts take the place of the record.
    let copy = UnsafeMutableRawBufferPointer(rebasing: whole.bytes[..<record.count])
    copy.copyMemory(from: record)
    return divider.divide(UnsafeRawBufferPointer(copy), limit: frameLimit(link)) { part in
      appendCopy(of: part, flow, on: link, session)
    }
  }

  /// Sends a packet that is not in the buffer, now or as soon as there is a session.
  private func sendCopy(of record: UnsafeRawBufferPointer, to peer: Peer) {
    guard let link = links.links[peer.address], let session = link.current else { return wait(record, peer) }
    let packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
    guard let peek = IPPeek(packet.bytes) else { return }
    appendCopy(of: record, peek.flow, on: link, session)
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

  /// Makes the record at `place` a part of the frames, unless it is to make its sender send less.
  private func append(_ count: Int, _ flow: UInt16, on link: PeerLink, _ session: PeerSession) {
    let packet = UnsafeRawBufferPointer(rebasing: buffer.bytes[place + OffloadHeader.size..<place + count])
    guard link.standing.admits(packet.bytes, at: readAt) else {
      packetCounters.early += 1
      return
    }
    link.frameLimit.note(count, at: readAt)
    let length = PacketRecord.prefixSize + count
    let start = place - PacketRecord.prefixSize
    let record = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<start + length])
    PacketRecord.writePrefix(length: count, to: record)
    if let frame = open, frame.session === session, frame.header.flow == flow, count <= Self.smallPacket,
      frame.header.length + length <= min(Self.sharedFrame, frameLimit(link))
    {
      if replaceLast(of: frame, with: UnsafeRawBufferPointer(rebasing: record[PacketRecord.prefixSize...])) { return }
      let tail = end + frame.header.frameSize
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[tail...]).copyMemory(from: UnsafeRawBufferPointer(record))
      open?.header.length += length
      open?.last = tail + PacketRecord.prefixSize..<tail + length
    } else {
      close()
      let header = FrameHeader(
        type: .data, length: SealedHeader.size + length, address: link.peer.address, flow: flow)
      open = OpenFrame(header: header, session: session, last: place..<place + count)
    }
    packetCounters.sent += 1
  }

  /// Puts a TCP acknowledgment in the place of the one before it, if that says nothing that this does not.
  private func replaceLast(of frame: OpenFrame, with record: UnsafeRawBufferPointer) -> Bool {
    guard record.count == frame.last.count, record.count <= OffloadHeader.size + PureACK.maximumSize else {
      return false
    }
    let last = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[frame.last])
    guard let former = PureACK(UnsafeRawBufferPointer(rebasing: last[OffloadHeader.size...]).bytes),
      let latter = PureACK(UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...]).bytes),
      latter.supersedes(former)
    else { return false }
    last.copyMemory(from: record)
    return true
  }

  /// Sends a copy to every peer, as often as is decent.
  private func sendToAll(_ record: UnsafeMutableRawBufferPointer, _ flow: UInt16) {
    let peers = peers.peers
    guard !peers.isEmpty, copies.allow(cost: Double(peers.count), at: .now()) else {
      packetCounters.limited += peers.isEmpty ? 0 : 1
      return
    }
    let copy = Array(record)
    copy.withUnsafeBytes { copy in
      for peer in peers.values {
        if let link = links.links[peer.address], let session = link.current {
          appendCopy(of: copy, flow, on: link, session)
        } else {
          wait(copy, peer)
        }
      }
    }
  }

  /// Adds a packet that is not in the buffer.
  private func appendCopy(
    of record: UnsafeRawBufferPointer, _ flow: UInt16, on link: PeerLink, _ session: PeerSession
  ) {
    if buffer.count - end - (open?.header.frameSize ?? 0) < room { flush() }
    UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[place...]).copyMemory(from: record)
    append(record.count, flow, on: link, session)
  }

  // MARK: Nobody there

  /// A packet for an address of which no peer is known: the relay may know better.
  private func askFor(
    _ address: IPv4Address, _ record: UnsafeMutableRawBufferPointer, _ packet: UnsafeRawBufferPointer, _ peek: IPPeek
  ) {
    let now = Instant.now()
    guard !unlocated.isAbsent(address, at: now) else {
      packetCounters.unroutable += 1
      return tellSender(of: packet, peek, at: now)
    }
    let isNew = unlocated.add(UnsafeRawBufferPointer(record), for: address, at: now)
    if isNew { ask(who: address) }
  }

  func ask(who address: IPv4Address) {
    uplink?.send(control: ControlMessage.locate(.address(address)).frame())
  }

  /// Something has come from an address that the relay has not told of: in a large network, it has to be asked.
  private func wonder(who address: IPv4Address) {
    guard peers.isPartial, membership.mayBePeer(address), questions.allow(at: .now()) else { return }
    ask(who: address)
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
        if let peek = IPPeek(packet.bytes) { tellSender(of: packet, peek, at: now) }
      }
    }
  }

  /// Tells a program on this device that its packet cannot be delivered.
  private func tellSender(of packet: UnsafeRawBufferPointer, _ peek: IPPeek, at now: Instant) {
    guard let reply = UnreachableReply.packet(about: packet, peek, to: membership), unlocated.mayReply(at: now) else {
      return
    }
    _ = reply.withUnsafeBytes { tun.write($0) }
  }

  // MARK: In

  /// Opens a data frame's payload and writes its packets to the TUN; what is not from `source` or not for this device is
  /// dropped.
  package func deliver(_ payload: UnsafeMutableRawBufferPointer, from source: IPv4Address) {
    // A peer that connects anew may be faster than the relay's word of it: TCP would miss what it sends first for long.
    guard let peer = peers.peers[source] ?? links.links[source]?.peer else {
      packetCounters.misaddressed += 1
      return wonder(who: source)
    }
    links.catchUp(at: uplink?.lastReceived ?? .now())
    guard let (content, link) = links.open(payload, from: peer) else { return }
    defer { putJoined() }
    var offset = 0
    while offset < content.count {
      guard let range = try? PacketRecord.range(in: content.bytes, at: offset), range.count > OffloadHeader.size else {
        packetCounters.malformed += 1
        return
      }
      offset = range.upperBound
      let packet = UnsafeRawBufferPointer(rebasing: content[(range.lowerBound + OffloadHeader.size)..<range.upperBound])
      guard let peek = IPPeek(packet.bytes) else {
        packetCounters.malformed += 1
        continue
      }
      guard membership.accepts(peek, from: source) else {
        packetCounters.misaddressed += 1
        continue
      }
      if link.standing.isWaiting { link.standing.receive(packet.bytes, peek, at: .now()) }
      put(UnsafeRawBufferPointer(rebasing: content[range]), isLast: offset == content.count)
    }
  }

  /// Writes a packet to the TUN, or keeps it for a moment because it may go with the next.
  private func put(_ record: UnsafeRawBufferPointer, isLast: Bool) {
    if joiner.add(record) { return }
    putJoined()
    if !isLast, tun.takesJoinedDatagrams, joiner.begin(with: record) { return }
    count(1, isWritten: tun.write(record))
  }

  private func putJoined() {
    let packets = joiner.count
    guard let record = joiner.take() else { return }
    count(packets, isWritten: tun.write(record))
  }

  private func count(_ packets: Int, isWritten: Bool) {
    if isWritten { packetCounters.received += packets } else { packetCounters.malformed += packets }
  }

  /// Takes a peer-handshake frame's payload.
  package func deliver(handshake payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    let peer = peers.peers[source]
    links.receive(handshake: payload, from: source, peer)
    if peer == nil { wonder(who: source) }
  }
}

extension PacketPump: PeerLinksDelegate {
  func send(handshake frame: [UInt8]) {
    frame.withUnsafeBytes { uplink?.send(FrameRun($0, frames: 1)) }
  }

  /// Sends the packets and messages that have waited. If there are none, the initiator sends a lone header, so that the
  /// responder knows that the session is there.
  func linkIsReady(_ link: PeerLink, isInitiator: Bool) {
    guard let session = link.current else { return }
    let address = link.peer.address
    for packet in link.pending.takeAll() {
      packet.withUnsafeBytes { record in
        let packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
        guard let peek = IPPeek(packet.bytes) else { return }
        appendCopy(of: record, peek.flow, on: link, session)
      }
    }
    exchange?.sessionIsReady(with: link.peer)
    if isInitiator, session.sent == 0, open == nil {
      let header = FrameHeader(type: .data, length: SealedHeader.size, address: address)
      open = OpenFrame(header: header, session: session)
    }
    flush()
  }

  func linkHasFailed(_ link: PeerLink) {
    unlocatable(link.pending.takeAll(), at: .now())
    exchange?.sessionHasFailed(with: link.peer)
  }

  func linkIsSuspicious(_ line: String) {
    onWarning(line)
  }
}
