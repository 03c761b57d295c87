internal import Link
internal import Noise
internal import Wire

// How messages get to peers and from them: in frames of their own over the sessions that carry the packets.

extension PacketPump: PeerMessenger {
  var isConnected: Bool { uplink != nil }

  func goesFirst(before peer: Peer) -> Bool { links.goesFirst(before: peer) }

  func objection(to peer: Peer) -> String? { links.objection(to: peer) }

  func openSession(with peer: Peer) -> Bool {
    guard let link = links.link(to: peer) else { return false }
    if link.current != nil { return true }
    if link.next == nil { links.begin(link) }
    return false
  }

  func send(_ message: [UInt8], to peer: Peer) -> Bool {
    guard let uplink, let session = links.links[peer.address]?.current else { return false }
    flush()
    let length = PeerSession.overhead + message.count
    var frame = [UInt8]()
    frame.reserveCapacity(FrameHeader.size + length)
    frame += [UInt8](repeating: 0, count: FrameHeader.size + SealedHeader.size)
    frame += message
    frame += [UInt8](repeating: 0, count: TransportCipher.tagSize)
    frame.withUnsafeMutableBytes { frame in
      FrameHeader(type: .data, length: length, address: peer.address, flow: PeerMessage.flow).write(to: frame)
      session.seal(UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...]), as: .message)
      uplink.send(FrameRun(UnsafeRawBufferPointer(frame), frames: 1))
    }
    return true
  }

  func mayLocate(_ address: IPv4Address) -> Bool { peers.isPartial && membership.mayBePeer(address) }

  func locate(_ address: IPv4Address) {
    ask(who: address)
  }

  func linkHasReceived(_ message: UnsafeRawBufferPointer, on link: PeerLink) {
    exchange?.receive(message, from: link.peer)
  }

  func linkIsInUse(_ link: PeerLink) {
    exchange?.sessionIsInUse(with: link.peer)
  }
}
