import Link
import SystemIO
import SystemPackage
import TestSupport
import Wire

/// A connection whose loop does not run, so that a test does one step after the other.
final class SteppedConnection {
  let connection: FrameConnection
  private let memory: ReceiveMemory
  private(set) var frames: [ReceivedFrame] = []
  /// How often `receive` said that it was done.
  private(set) var finishes = 0
  /// Called with every frame after it is kept.
  var onFrame: (ReceivedFrame) throws(WireError) -> Void = { _ in }

  init(
    _ descriptor: consuming Descriptor, queueLimit: Int = 1 << 20, memory: ReceiveMemory = ReceiveMemory()
  ) throws(Errno) {
    connection = FrameConnection(descriptor, loop: try EventLoop(), queueLimit: queueLimit)
    self.memory = memory
  }

  /// Reads once.
  func receive() throws(FrameConnection.ReceiveError) {
    try connection.receive(
      using: memory,
      deliver: { bytes, header throws(WireError) in
        let frame = ReceivedFrame(header: header, payload: Array(bytes[FrameHeader.size...]))
        frames.append(frame)
        try onFrame(frame)
      }, finish: { finishes += 1 })
  }

  /// Reads until nothing is there. On a busy machine one turn may end before it has handled all that was read, and the
  /// next one then reads nothing.
  func receiveAll() throws(FrameConnection.ReceiveError) {
    var idleTurns = 0
    while idleTurns < 2 {
      let before = connection.received.bytes
      try receive()
      idleTurns = connection.received.bytes == before ? idleTurns + 1 : 0
    }
  }
}

/// The other end as bare bytes.
final class RawEnd: Sendable {
  private let descriptor: Descriptor

  init(_ descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }

  /// Sends what the socket takes at once.
  @discardableResult
  func send(_ bytes: some Sequence<UInt8>) throws -> Int {
    try Array(bytes).withUnsafeBytes { try descriptor.send($0) ?? 0 }
  }

  /// What is there now.
  func read() throws -> [UInt8] {
    let buffer = RawBuffer(count: 256 << 10)
    var bytes: [UInt8] = []
    while let count = try descriptor.read(into: buffer.bytes), count > 0 { bytes += buffer.bytes[..<count] }
    return bytes
  }

  /// What is there now, but not more than so many bytes.
  func read(atMost count: Int) throws -> [UInt8] {
    let buffer = RawBuffer(count: count)
    var filled = 0
    while filled < count {
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[filled...])
      guard let part = try descriptor.read(into: room), part > 0 else { break }
      filled += part
    }
    return Array(buffer.bytes[..<filled])
  }

  func close() { descriptor.shutDown() }
}

/// Splits bytes into frames; what is left over at the end is an error.
func parseFrames(_ bytes: [UInt8]) throws -> [ReceivedFrame] {
  var frames: [ReceivedFrame] = []
  var offset = 0
  while offset < bytes.count {
    let scan = try bytes.withUnsafeBytes { try FrameScan($0.bytes, at: offset) }
    guard case .frame(let header) = scan else { throw Errno.ioError }
    let end = offset + header.frameSize
    frames.append(ReceivedFrame(header: header, payload: Array(bytes[offset + FrameHeader.size..<end])))
    offset = end
  }
  return frames
}

/// A data frame that knows who it is: its sender is the address, its number the payload's first bytes, and the rest
/// follows from both.
func numberedFrame(sender: Int, number: Int, length: Int, flow: UInt16? = nil) -> [UInt8] {
  frameBytes(
    .data, numberedPayload(sender: sender, number: number, length: length), address: IPv4Address(bits: UInt32(sender)),
    flow: flow ?? UInt16(truncatingIfNeeded: sender))
}

private func numberedPayload(sender: Int, number: Int, length: Int) -> [UInt8] {
  precondition(length >= 4)
  var payload = [UInt8](repeating: UInt8(truncatingIfNeeded: sender &* 31 &+ number), count: length)
  payload.withUnsafeMutableBytes { $0.storeBytes(of: UInt32(number), as: UInt32.self) }
  return payload
}

extension ReceivedFrame {
  var sender: Int { Int(header.address.bits) }

  var number: Int { payload.withUnsafeBytes { Int($0.load(as: UInt32.self)) } }

  /// Whether it is exactly what `numberedFrame` made.
  var isIntact: Bool {
    payload == numberedPayload(sender: sender, number: number, length: payload.count)
  }
}

extension Sequence<ReceivedFrame> {
  /// Whether all are exactly what `numberedFrame` made.
  var areIntact: Bool { allSatisfy { $0.isIntact } }
}
