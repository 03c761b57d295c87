// Of TCP acknowledgments that a device reads together it sends the last one only, like CAKE's ack-filter, unless
// another carries different information. On a fast path this saves a third of the packets.

internal import Link
internal import Noise
internal import SystemIO
internal import Tun
internal import Wire

/// The frames of one turn for one carrier, which leave in one call: sealed frames, and behind them one that may grow.
///
/// A packet stands, or is read from the TUN, behind room for the headers of a frame of its own. `append` makes it a
/// part of the open frame, or opens a frame where it lies; small packets of one flow share a frame. Owned by the
/// device's thread.
final class OutBatch {
  // Set once.
  private let buffer = RawBuffer(count: size)
  private let divider = SuperPacketDivider()
  /// The copy of a super-packet that is being divided.
  private let whole: RawBuffer
  /// The bytes that one more packet can take, in a frame of its own behind an open one.
  private let room: Int

  // The turn's.
  private(set) var carrier: FrameCarrier?
  private var now = Instant.now()
  /// Packets in frames of this turn, and packets dropped so that their sender slows down.
  private(set) var sent = 0
  private(set) var early = 0

  /// Sealed frames stand before `end`.
  private var end = 0
  private var frames = 0
  private var open: OpenFrame?

  /// A frame that is not sealed yet; it begins at `end`.
  private struct OpenFrame {
    var header: FrameHeader
    let session: PeerSession
    let path: Path
    /// The place of its last packet in `buffer`, without the record's prefix.
    var last: Range<Int>
  }

  /// Room for seven super-packets, so that bulk takes few turns.
  private static let size = 512 << 10
  /// A larger packet is not worth moving into a shared frame.
  private static let smallPacket = 4096
  /// The longest shared frame.
  private static let sharedFrame = 32 << 10
  /// The bytes before a frame's first packet.
  private static let prefix = FrameHeader.size + SealedHeader.size + PacketRecord.prefixSize

  /// `maximumRead`: the longest packet, with its offload header.
  init(maximumRead: Int) {
    whole = RawBuffer(count: maximumRead)
    room = TransportCipher.tagSize + Self.prefix + maximumRead + TransportCipher.tagSize
    precondition(room <= Self.size)
  }

  /// Begins a turn.
  func begin(for carrier: FrameCarrier, at now: Instant) {
    carrier.measure()
    self.carrier = carrier
    self.now = now
    (sent, early) = (0, 0)
  }

  /// Ends the turn.
  func finish() {
    flush()
    carrier = nil
  }

  /// Where the next packet, with its offload header, is to be put: behind the open frame and its tag.
  func nextPlace() -> UnsafeMutableRawBufferPointer {
    if buffer.count - end - (open?.header.frameSize ?? 0) < room { flush() }
    return UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[place...])
  }

  private var place: Int {
    let start = open.map { end + $0.header.frameSize + TransportCipher.tagSize } ?? end
    return start + Self.prefix
  }

  /// Adds the `count` bytes at `nextPlace`: in parts, if the whole would delay other frames for too long.
  func append(_ count: Int, _ flow: UInt16, on link: PeerLink, _ session: PeerSession) {
    if count > link.path.longestFrame, divide(count, flow, on: link, session) { return }
    appendPart(count, flow, on: link, session)
  }

  /// Adds a packet that is not in the buffer.
  func append(copyOf record: UnsafeRawBufferPointer, _ flow: UInt16, on link: PeerLink, _ session: PeerSession) {
    nextPlace().copyMemory(from: record)
    append(record.count, flow, on: link, session)
  }

  /// False: it is no super-packet, or cannot be divided.
  private func divide(_ count: Int, _ flow: UInt16, on link: PeerLink, _ session: PeerSession) -> Bool {
    // The parts take the place of the whole.
    let copy = UnsafeMutableRawBufferPointer(rebasing: whole.bytes[..<count])
    copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer.bytes[place..<place + count]))
    return divider.divide(UnsafeRawBufferPointer(copy), limit: link.path.longestFrame) { part in
      nextPlace().copyMemory(from: part)
      appendPart(part.count, flow, on: link, session)
    }
  }

  private func appendPart(_ count: Int, _ flow: UInt16, on link: PeerLink, _ session: PeerSession) {
    let path = link.path
    let packet = UnsafeRawBufferPointer(rebasing: buffer.bytes[place + OffloadHeader.size..<place + count])
    guard path.standing.admits(packet.bytes, at: now) else {
      early += 1
      return
    }
    path.frameLimit.note(count, at: now)
    path.flows.note(flow, at: now)
    let length = PacketRecord.prefixSize + count
    let start = place - PacketRecord.prefixSize
    let record = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<start + length])
    PacketRecord.writePrefix(length: count, to: record)
    if let frame = open, frame.session === session, frame.path === path, frame.header.flow == flow,
      count <= Self.smallPacket,
      frame.header.length + length <= min(Self.sharedFrame, path.longestFrame)
    {
      if replaceLast(of: frame, with: UnsafeRawBufferPointer(rebasing: record[PacketRecord.prefixSize...])) { return }
      let tail = end + frame.header.frameSize
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[tail...]).copyMemory(from: UnsafeRawBufferPointer(record))
      open?.header.length += length
      open?.last = tail + PacketRecord.prefixSize..<tail + length
    } else {
      close()
      let header = FrameHeader(type: .data, length: SealedHeader.size + length, address: path.address, flow: flow)
      open = OpenFrame(header: header, session: session, path: path, last: place..<place + count)
    }
    sent += 1
  }

  /// Replaces the frame's last TCP acknowledgment by this one, unless the last one carries different information.
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

  /// Seals the open frame.
  private func close() {
    guard var frame = open else { return }
    open = nil
    frame.header.length += TransportCipher.tagSize
    let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[end..<end + frame.header.frameSize])
    frame.header.write(to: bytes)
    frame.session.seal(UnsafeMutableRawBufferPointer(rebasing: bytes[FrameHeader.size...]), path: frame.path.number)
    end += bytes.count
    frames += 1
  }

  /// Gives all frames to the carrier.
  private func flush() {
    close()
    guard frames > 0 else { return }
    carrier?.send(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<end]), frames: frames)
    end = 0
    frames = 0
  }
}

/// The batches of a turn, one for each carrier that the turn's packets take; the others are idle, so that a turn
/// allocates nothing. Owned by the device's thread.
struct OutBatchPool {
  private var idle: [OutBatch] = []
  private var busy: [OutBatch] = []
  private let maximumRead: Int

  /// How many carriers a turn serves at once; for another one, the frames of the first leave before the turn ends.
  private static let maximumCarriers = 4

  init(maximumRead: Int) {
    self.maximumRead = maximumRead
  }

  /// The turn's batch for the carrier. `leave` gets one whose frames leave for it.
  mutating func batch(for carrier: FrameCarrier, at now: Instant, _ leave: (OutBatch) -> Void) -> OutBatch {
    if let batch = busy.last(where: { $0.carrier === carrier }) { return batch }
    let batch: OutBatch
    if busy.count == Self.maximumCarriers {
      batch = busy.removeFirst()
      batch.finish()
      leave(batch)
    } else {
      batch = idle.popLast() ?? OutBatch(maximumRead: maximumRead)
    }
    batch.begin(for: carrier, at: now)
    busy.append(batch)
    return batch
  }

  /// Ends the turn: all frames leave. `leave` gets each batch.
  mutating func finish(_ leave: (OutBatch) -> Void) {
    while let batch = busy.popLast() {
      batch.finish()
      leave(batch)
      idle.append(batch)
    }
  }
}
