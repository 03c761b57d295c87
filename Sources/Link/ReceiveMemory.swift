internal import SystemIO
internal import Wire

/// What all connections of one loop read into: one large buffer, and a few spare ones for frames that have arrived in part.
/// Owned by the loop's thread.
public final class ReceiveMemory {
  let scratch: RawBuffer
  private var spares: [PartialFrame] = []
  private static let maximumSpares = 16
  /// The part of `scratch` for connections that have not joined: they are read in small portions.
  let smallScratch: UnsafeMutableRawBufferPointer

  /// `size` bytes are read at once at the most: a dozen super-packets, so that a busy connection costs few wake-ups.
  public init(size: Int = 768 << 10) {
    precondition(size >= FrameHeader.maximumFrame)
    scratch = RawBuffer(count: size)
    smallScratch = UnsafeMutableRawBufferPointer(rebasing: scratch.bytes[..<min(size, 32 << 10)])
  }

  func takePartial() -> PartialFrame {
    spares.popLast() ?? PartialFrame()
  }

  func giveBack(_ partial: PartialFrame) {
    if spares.count < Self.maximumSpares { spares.append(partial) }
  }
}

/// The beginning of a frame whose rest is still on its way.
final class PartialFrame {
  private let memory = RawBuffer(count: FrameHeader.maximumFrame)
  /// When its first bytes came.
  var since = Instant(nanoseconds: 0)
  /// How many bytes are here.
  var filled = 0
  /// How many the frame has, once its header is here.
  var needed = 0

  var bytes: UnsafeMutableRawBufferPointer { memory.bytes }
}

/// The received bytes that a turn did not handle: whole frames, and perhaps the beginning of one.
final class ReceivedRest {
  private let memory: RawBuffer
  private var start = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    memory = RawBuffer(count: bytes.count)
    memory.bytes.copyMemory(from: bytes)
  }

  var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory.bytes[start...]) }

  func drop(_ count: Int) { start += count }
}
