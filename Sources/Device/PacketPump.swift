// The journey of a packet out of this device:
//
//   the TUN → `pump`: into a buffer behind room for the frame's header → small packets of one flow share a frame
//   → `flush`: everything read so far goes to the uplink in one call
//
// and into it: `deliver`, from the frame where it lies in the receive buffer to the TUN.

internal import Link
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

/// What a device is called in its network.
struct Membership: Equatable {
  var address: IPv4Address
  var pool: IPv4Prefix
  var relayAddress: IPv4Address
}

/// The device's data path, both ways. Owned by the device's thread.
final class PacketPump {
  private let tun: any PacketDevice
  private let buffer = RawBuffer(count: bufferSize)
  private var membership: Membership
  private(set) var peers = PeerTable()
  private var absent = AbsentPeers()
  private var copies = RateLimit(perSecond: 2000, burst: 4000)
  private(set) var counters = DeviceCounters()

  // What `buffer` holds: whole frames, of which the last may grow.
  private var end = 0
  private var frames = 0
  private var lastFrame: (start: Int, header: FrameHeader)?
  // The destination that was last found among the peers.
  private var lastDestination: IPv4Address?

  private static let bufferSize = 256 << 10
  /// A packet up to this size may share a frame; a larger one is not worth moving.
  private static let smallPacket = 4096
  /// A shared frame is not made longer than this.
  private static let sharedFrame = 32 << 10
  /// Packets read in one go before the other direction has its turn.
  private static let batch = 256

  init(_ tun: any PacketDevice, _ membership: Membership) {
    self.tun = tun
    self.membership = membership
    precondition(room <= Self.bufferSize)
  }

  /// The bytes that one more packet can take.
  private var room: Int { FrameHeader.size + PacketRecord.prefixSize + tun.maximumRead }

  func rejoin(_ membership: Membership) {
    self.membership = membership
    lastDestination = nil
  }

  /// The relay says who has come and gone.
  func update(_ update: PeerUpdate) -> PeerTable.Outcome {
    lastDestination = nil
    for peer in update.joined { absent.forget(peer.address) }
    return peers.apply(update, in: membership.pool, except: membership.address)
  }

  // MARK: Out

  /// Reads what the TUN has, up to a batch, and sends it.
  func pump(to uplink: FrameConnection) throws(Errno) {
    defer { flush(to: uplink) }
    for _ in 0..<Self.batch {
      if buffer.count - end < room { flush(to: uplink) }
      let start = end + FrameHeader.size + PacketRecord.prefixSize
      let place = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start...])
      guard let count = try tun.read(into: place) else { return }
      route(UnsafeMutableRawBufferPointer(rebasing: place[..<count]), to: uplink)
    }
  }

  private func flush(to uplink: FrameConnection) {
    guard frames > 0 else { return }
    uplink.send(FrameRun(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<end]), frames: frames))
    end = 0
    frames = 0
    lastFrame = nil
  }

  /// Decides about a packet, which stands where the record of a new frame would be.
  private func route(_ record: UnsafeMutableRawBufferPointer, to uplink: FrameConnection) {
    guard record.count > OffloadHeader.size else {
      counters.malformed += 1
      return
    }
    let packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
    switch IPPeek(packet.bytes) {
    case nil: counters.malformed += 1
    case .ipv6: counters.unroutable += 1
    case .ipv4(let peek):
      if peek.destination == lastDestination {
        append(record.count, peek)
      } else if peers.contains(peek.destination) {
        lastDestination = peek.destination
        append(record.count, peek)
      } else if isForAll(peek.destination) {
        sendToAll(record, peek, uplink)
      } else {
        askFor(packet, record.count, peek)
      }
    }
  }

  /// Makes the record behind the frames a part of them.
  private func append(_ count: Int, _ peek: IPv4Peek) {
    counters.sent += 1
    let start = end + FrameHeader.size
    let length = PacketRecord.prefixSize + count
    let prefix = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<start + length])
    PacketRecord.writePrefix(length: count, to: prefix)
    if let (start, last) = lastFrame, last.address == peek.destination, last.flow == peek.flow,
      count <= Self.smallPacket, last.length + length <= Self.sharedFrame
    {
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[end...]).copyMemory(from: UnsafeRawBufferPointer(prefix))
      var header = last
      header.length += length
      end += length
      header.write(to: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start...]))
      lastFrame = (start, header)
    } else {
      let header = FrameHeader(type: .data, length: length, address: peek.destination, flow: peek.flow)
      header.write(to: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[end...]))
      lastFrame = (end, header)
      end += header.frameSize
      frames += 1
    }
  }

  private func isForAll(_ destination: IPv4Address) -> Bool {
    destination.isMulticast || destination == membership.pool.broadcast || destination == .limitedBroadcast
  }

  /// Sends a copy to every peer, as often as is decent.
  private func sendToAll(_ record: UnsafeMutableRawBufferPointer, _ peek: IPv4Peek, _ uplink: FrameConnection) {
    let peers = peers.peers
    guard !peers.isEmpty, copies.allow(cost: Double(peers.count), at: .now()) else {
      counters.limited += peers.isEmpty ? 0 : 1
      return
    }
    flush(to: uplink)
    let frame = UnsafeMutableRawBufferPointer(
      start: record.baseAddress! - FrameHeader.size - PacketRecord.prefixSize,
      count: FrameHeader.size + PacketRecord.prefixSize + record.count)
    PacketRecord.writePrefix(
      length: record.count, to: UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...]))
    for address in peers.keys {
      FrameHeader(type: .data, length: frame.count - FrameHeader.size, address: address, flow: peek.flow)
        .write(to: frame)
      uplink.send(FrameRun(UnsafeRawBufferPointer(frame), frames: 1))
      counters.sent += 1
    }
  }

  // MARK: Nobody there

  /// A packet for an address of which no peer is known: the relay may know better.
  private func askFor(_ packet: UnsafeRawBufferPointer, _ count: Int, _ peek: IPv4Peek) {
    let now = Instant.now()
    let reply = reply(to: packet, peek)
    if membership.pool.contains(peek.destination), !absent.isAbsent(peek.destination, at: now) {
      absent.ask(peek.destination, reply: reply, at: now)
      append(count, peek)
    } else {
      counters.unroutable += 1
      tell(reply, at: now)
    }
  }

  /// The relay says that nobody has this address.
  func markAbsent(_ address: IPv4Address) {
    let now = Instant.now()
    tell(absent.markAbsent(address, at: now), at: now)
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
    guard let reply, absent.mayReply(at: now) else { return }
    _ = reply.withUnsafeBytes { tun.write($0) }
  }

  // MARK: In

  /// Writes the packets of a data frame to the TUN; what is not from `source` or not for this device is dropped.
  func deliver(_ payload: UnsafeRawBufferPointer, from source: IPv4Address) {
    var offset = 0
    while offset < payload.count {
      guard let range = try? PacketRecord.range(in: payload.bytes, at: offset), range.count > OffloadHeader.size else {
        counters.malformed += 1
        return
      }
      offset = range.upperBound
      let packet = UnsafeRawBufferPointer(rebasing: payload[(range.lowerBound + OffloadHeader.size)..<range.upperBound])
      guard case .ipv4(let peek)? = IPPeek(packet.bytes) else {
        counters.malformed += 1
        continue
      }
      guard peek.source == source, peek.destination == membership.address || isForAll(peek.destination) else {
        counters.misaddressed += 1
        continue
      }
      if tun.write(UnsafeRawBufferPointer(rebasing: payload[range])) {
        counters.received += 1
      } else {
        counters.malformed += 1
      }
    }
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
}
