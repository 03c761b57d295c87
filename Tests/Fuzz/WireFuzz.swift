// One entry for libFuzzer over everything that reads bytes from the network. The input is a stream of frames, and also
// each of the things that a frame may carry. Built by run.sh together with the sources of Wire.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let input = UnsafeRawBufferPointer(start: data, count: size)
  readFrames(input)
  readMessage(input)
  readPeerMessage(input)
  readHello(input)
  readSealed(input)
  readPeerHandshake(input)
  readRecords(input)
  readPacket(input)
  return 0
}

private func readFrames(_ stream: UnsafeRawBufferPointer) {
  var offset = 0
  while case .frame(let header)? = try? FrameScan(stream.bytes, at: offset) {
    precondition(header.length <= header.type.maximumPayload && header.frameSize <= stream.count - offset)
    let frame = stream[offset..<offset + header.frameSize]
    let payload = UnsafeRawBufferPointer(rebasing: frame.dropFirst(FrameHeader.size))
    switch header.type {
    case .handshake: readHello(payload)
    case .control: readMessage(payload)
    case .data: readSealed(payload)
    case .peerHandshake: readPeerHandshake(payload)
    case .ping, .pong: break
    }
    checkHeader(header, UnsafeRawBufferPointer(rebasing: frame))
    offset += header.frameSize
  }
}

/// A header that was read is written the same.
private func checkHeader(_ header: FrameHeader, _ frame: UnsafeRawBufferPointer) {
  withUnsafeTemporaryAllocation(byteCount: FrameHeader.size, alignment: 4) { bytes in
    header.write(to: bytes)
    precondition(bytes.elementsEqual(frame.prefix(FrameHeader.size)))
  }
}

/// A message that was read is read again from what is written of it, if that fits a frame at all.
private func readMessage(_ payload: UnsafeRawBufferPointer) {
  guard payload.count <= 8 << 10, let message = try? ControlMessage.decode(payload) else { return }
  let again = message.frame().withUnsafeBytes {
    try? ControlMessage.decode(UnsafeRawBufferPointer(rebasing: $0.dropFirst(FrameHeader.size)))
  }
  precondition(again == message)
}

/// What two devices say to each other is written so that it is read again.
private func readPeerMessage(_ content: UnsafeRawBufferPointer) {
  guard let message = try? PeerMessage.decode(content) else { return }
  let again = message.encoded().withUnsafeBytes { try? PeerMessage.decode($0) }
  precondition(again == message)
}

/// What was read of the heads of handshakes and sealed frames is written the same.
private func readHello(_ payload: UnsafeRawBufferPointer) {
  guard let hello = try? HandshakeHello(parsing: payload.bytes) else { return }
  precondition(hello.bytes.elementsEqual(payload.prefix(HandshakeHello.size)))
}

private func readPeerHandshake(_ payload: UnsafeRawBufferPointer) {
  guard let header = PeerHandshakeHeader(parsing: payload.bytes) else { return }
  precondition(header.bytes.elementsEqual(payload.prefix(PeerHandshakeHeader.size)))
}

private func readSealed(_ payload: UnsafeRawBufferPointer) {
  guard let header = SealedHeader(parsing: payload.bytes) else { return }
  withUnsafeTemporaryAllocation(byteCount: SealedHeader.size, alignment: 8) { bytes in
    header.write(to: bytes)
    precondition(bytes.elementsEqual(payload.prefix(SealedHeader.size)))
  }
}

private func readRecords(_ payload: UnsafeRawBufferPointer) {
  var offset = 0
  while let range = try? PacketRecord.range(in: payload.bytes, at: offset) {
    precondition(range.lowerBound == offset + PacketRecord.prefixSize && range.upperBound <= payload.count)
    readPacket(UnsafeRawBufferPointer(rebasing: payload[range]))
    offset = range.upperBound
  }
}

private func readPacket(_ packet: UnsafeRawBufferPointer) {
  guard let peek = IPPeek(packet.bytes) else { return }
  if case .ipv4(let header) = peek {
    precondition(header.headerLength >= IPv4Peek.minimumHeader && header.headerLength <= packet.count)
  }
  if let segment = TCPPeek(packet.bytes, peek) {
    precondition((0...packet.count - IPv4Peek.minimumHeader - TCPPeek.minimumHeader).contains(segment.payloadLength))
  }
  if let acknowledgment = PureACK(packet.bytes) { precondition(!acknowledgment.supersedes(acknowledgment)) }
}
