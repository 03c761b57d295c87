// The journey of a packet:
//
//   out   the TUN → `pump`: read into a batch → `route`: its destination's session → `OutBatch`: a part of a sealed
//         frame → when the TUN is empty, the carrier, in one call
//   in    the carrier → `deliver`: the peer that the frame is from → its session opens the frame where it lies in the
//         receive buffer → each packet is checked → `put`: the TUN
//
// A packet for a peer without session waits in the peer's link. `PacketPump+Unlocated.swift` has packets for addresses
// that no listed peer has.

internal import Link
internal import Noise
package import SystemIO
package import SystemPackage
package import Tun
package import Wire

/// The device's data path, both ways. Owned by the device's thread. What is `package` is for Tests/Allocations.
package final class PacketPump {
  // Set once.
  let tun: any PacketDevice
  let neighbourhood: Neighbourhood
  let links: PeerLinks
  /// `nil` in tests that are about packets alone.
  private let exchange: PeerExchange?
  let events: EventLoop
  private let onWarning: (String) -> Void
  /// `nil` without direct paths.
  var direct: DirectPaths?

  private var batches: OutBatchPool
  private var joiner = DatagramJoiner()
  private var copies = RateLimit(perSecond: 2000, burst: 4000)
  /// How often the relay may be asked which device sent a frame.
  var questions = RateLimit(perSecond: 50, burst: 100)
  var packetCounters = DeviceCounters()

  // The link of the last packet, as long as `epoch` is the neighbourhood's.
  private var lastLink: PeerLink?
  private var epoch = -1

  /// Packets read in one turn, so that the other direction has its turn too.
  private static let packetsPerTurn = 256

  /// Messages from peers go to `exchange`.
  package init(
    _ tun: any PacketDevice, _ neighbourhood: Neighbourhood, _ links: PeerLinks, _ exchange: PeerExchange? = nil,
    on events: EventLoop, onWarning: @escaping (String) -> Void
  ) {
    self.tun = tun
    self.neighbourhood = neighbourhood
    self.links = links
    self.exchange = exchange
    self.events = events
    self.onWarning = onWarning
    batches = OutBatchPool(maximumRead: tun.maximumRead)
    links.delegate = self
  }

  var counters: DeviceCounters {
    var result = packetCounters
    result.links = links.counters
    return result
  }

  // MARK: Out

  /// Reads the packets that the TUN has, up to `packetsPerTurn`, and sends them.
  package func pump() throws(Errno) {
    let now = Instant.now()
    links.catchUp(at: now)
    // Most packets of a turn take the carrier of the last one, so that they lie where they are sent from.
    var batch = batch(for: lastLink?.path.carrier ?? neighbourhood.relay, at: now)
    defer { finishTurn() }
    for _ in 0..<Self.packetsPerTurn {
      let place = batch.nextPlace()
      guard let count = try tun.read(into: place) else { return }
      route(UnsafeMutableRawBufferPointer(rebasing: place[..<count]), in: &batch, at: now)
    }
  }

  private func batch(for carrier: FrameCarrier, at now: Instant) -> OutBatch {
    batches.batch(for: carrier, at: now) { count($0) }
  }

  private func finishTurn() {
    batches.finish { count($0) }
  }

  private func count(_ batch: OutBatch) {
    packetCounters.sent += batch.sent
    packetCounters.early += batch.early
  }

  /// Decides about a packet, which stands at the batch's next place. The next packet is to be read into `batch`.
  private func route(_ record: UnsafeMutableRawBufferPointer, in batch: inout OutBatch, at now: Instant) {
    let packet = UnsafeRawBufferPointer(rebasing: record.dropFirst(OffloadHeader.size))
    guard let peek = IPPeek(packet.bytes), let target = neighbourhood.membership?.target(of: peek) else {
      packetCounters.malformed += 1
      return
    }
    switch target {
    case .lease(let address):
      if let link = lastLink, link.address == address, epoch == neighbourhood.epoch, let session = link.current,
        link.path.carrier === batch.carrier
      {
        batch.append(record.count, peek.flow, on: link, session)
      } else if let state = neighbourhood.listed(address) {
        send(record, peek.flow, to: state, in: &batch, at: now)
      } else {
        askFor(address, record, packet, peek)
      }
    case .everybody:
      sendToAll(record, peek.flow, at: now)
    case .outside:
      packetCounters.unroutable += 1
      tellSender(of: packet, peek, at: .now())
    }
  }

  private func send(
    _ record: UnsafeMutableRawBufferPointer, _ flow: UInt16, to state: PeerState, in batch: inout OutBatch,
    at now: Instant
  ) {
    guard let (link, session) = ready(state) else { return wait(UnsafeRawBufferPointer(record), state) }
    lastLink = link
    epoch = neighbourhood.epoch
    if link.path.carrier === batch.carrier { return batch.append(record.count, flow, on: link, session) }
    batch = self.batch(for: link.path.carrier, at: now)
    batch.append(copyOf: UnsafeRawBufferPointer(record), flow, on: link, session)
  }

  /// The session that packets for the peer are sealed with now; `nil`: they have to wait.
  private func ready(_ state: PeerState) -> (PeerLink, PeerSession)? {
    guard let link = state.link, let session = link.current, isOpen(link.path) else { return nil }
    if state.direct == nil { direct?.begin(with: state) }
    return (link, session)
  }

  /// Whether packets may take the path now. On a new connection to the relay they wait until the relay has listed the
  /// peers: packets for peers known before would go to devices that are not back yet.
  private func isOpen(_ path: Path) -> Bool {
    path.isDirect || neighbourhood.takesPackets
  }

  /// Keeps a packet for a peer until there is a session.
  private func wait(_ record: UnsafeRawBufferPointer, _ state: PeerState) {
    guard let link = links.link(to: state) else {
      packetCounters.unroutable += 1
      return
    }
    packetCounters.overdue += link.pending.add(record)
    if link.current == nil { links.begin(with: state) }
  }

  /// Sends a copy to every peer, up to a rate.
  private func sendToAll(_ record: UnsafeMutableRawBufferPointer, _ flow: UInt16, at now: Instant) {
    let count = neighbourhood.listedCount
    guard count > 0, copies.allow(cost: Double(count), at: now) else {
      packetCounters.limited += count > 0 ? 1 : 0
      return
    }
    Array(record).withUnsafeBytes { copy in
      for state in neighbourhood.listed { send(copyOf: copy, flow, to: state, at: now) }
    }
  }

  private func send(copyOf record: UnsafeRawBufferPointer, _ flow: UInt16, to state: PeerState, at now: Instant) {
    guard let (link, session) = ready(state) else { return wait(record, state) }
    batch(for: link.path.carrier, at: now).append(copyOf: record, flow, on: link, session)
  }

  /// Packets may go by way of the relay again: those that have waited for it leave.
  func sendWaiting() {
    for state in neighbourhood.listed where state.link?.current != nil {
      if let waiting = state.link?.pending.takeAll() { send(waiting, to: state) }
    }
  }

  /// Sends packets that have waited, in a turn of their own.
  func send(_ records: [[UInt8]], to state: PeerState) {
    guard !records.isEmpty else { return }
    let now = Instant.now()
    defer { finishTurn() }
    for record in records {
      record.withUnsafeBytes { record in
        guard let peek = IPPeek(record.bytes.extracting(OffloadHeader.size..<record.count)) else { return }
        send(copyOf: record, peek.flow, to: state, at: now)
      }
    }
  }

  // MARK: In

  /// Opens a data frame's payload where it lies, and writes its packets to the TUN. Packets that are not from `source`
  /// or not for this device are dropped.
  package func deliver(_ payload: UnsafeMutableRawBufferPointer, from source: IPv4Address) {
    deliver(payload, from: source, on: nil)
  }

  /// `connection`: the direct one that the frame came by; `nil`: by way of the relay.
  func deliver(
    _ payload: UnsafeMutableRawBufferPointer, from source: IPv4Address, on connection: DirectConnection?
  ) {
    // The relay may not list the peer at the moment: a peer that connects anew can be faster than the relay's word of
    // it.
    guard let state = neighbourhood.peers[source], state.isListed || state.link != nil else {
      packetCounters.misaddressed += 1
      if connection == nil { wonder(about: source) }
      return
    }
    links.catchUp(at: (connection?.connection ?? neighbourhood.relay.connection)?.lastReceived ?? .now())
    guard let opened = links.open(payload, from: state, mayHeal: connection?.isBound ?? true) else {
      return
    }
    if opened.header.path > 0 || connection != nil {
      guard let direct, direct.accepts(opened.header, on: connection) else {
        packetCounters.misaddressed += 1
        return
      }
      connection?.note(opened.header)
    }
    switch opened.header.kind {
    case .packets: write(opened.content, from: state, opened.link)
    case .message: exchange?.receive(opened.content, from: state)
    case .path: direct?.receive(opened.content, opened.header, from: state, on: connection)
    }
  }

  /// Writes the packets of a frame to the TUN.
  private func write(_ content: UnsafeRawBufferPointer, from state: PeerState, _ link: PeerLink) {
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
      guard neighbourhood.membership?.accepts(peek, from: state.address) == true else {
        packetCounters.misaddressed += 1
        continue
      }
      if link.path.standing.isWaiting { link.path.standing.receive(packet.bytes, peek, at: .now()) }
      put(UnsafeRawBufferPointer(rebasing: content[range]), isLast: offset == content.count)
    }
  }

  /// Writes a packet to the TUN, or keeps it for the frame's next packet, because both may be written as one.
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
    let isListed = neighbourhood.listed(source) != nil
    links.receive(handshake: payload, from: source)
    if !isListed { wonder(about: source) }
  }
}

extension PacketPump: PeerLinksDelegate {
  func sessionIsReady(with state: PeerState) {
    if let waiting = state.link?.pending.takeAll() { send(waiting, to: state) }
    exchange?.sessionIsReady(with: state)
  }

  func handshakeHasFailed(with state: PeerState) {
    if let waiting = state.link?.pending.takeAll() { tellSenders(of: waiting, at: .now()) }
    exchange?.sessionHasFailed(with: state)
  }

  func sessionIsInUse(with state: PeerState) {
    direct?.begin(with: state)
    exchange?.sessionIsInUse(with: state)
  }

  func warn(_ line: String) {
    onWarning(line)
  }
}
