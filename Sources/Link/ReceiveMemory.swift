internal import SystemIO
internal import Wire

/// The buffers that all connections of one loop read into: a large one, and a few spare ones for frames received in
/// part. Owned by the loop's thread.
public final class ReceiveMemory {
  let scratch: RawBuffer
  private var spares: [PartialFrame] = []
  private static let maximumSpares = 16
  /// The part of `scratch` for small portions: for connections that have not joined, and for all while much waits.
  let smallScratch: UnsafeMutableRawBufferPointer
  /// The size of all `ReceivedRest`, in bytes.
  fileprivate(set) var waiting = 0
  private let maximumWaiting: Int

  /// `size` is the most that is read at once: a dozen super-packets, so that a busy connection costs few wake-ups.
  /// While more than `maximumWaiting` bytes wait for their turn, all connections are read in small portions.
  public init(size: Int = 768 << 10, maximumWaiting: Int = 16 << 20) {
    precondition(size >= FrameHeader.maximumFrame)
    self.maximumWaiting = maximumWaiting
    scratch = RawBuffer(count: size)
    smallScratch = UnsafeMutableRawBufferPointer(rebasing: scratch.bytes[..<min(size, 32 << 10)])
  }

  func scratch(isSmall: Bool) -> UnsafeMutableRawBufferPointer {
    isSmall || waiting >= maximumWaiting ? smallScratch : scratch.bytes
  }

  func takePartial() -> PartialFrame {
    spares.popLast() ?? PartialFrame()
  }

  func giveBack(_ partial: PartialFrame) {
    if spares.count < Self.maximumSpares { spares.append(partial) }
  }
}

/// The beginning of a frame whose rest has not been received.
final class PartialFrame {
  private let memory = RawBuffer(count: FrameHeader.maximumFrame)
  /// When its first bytes were received.
  var since = Instant(nanoseconds: 0)
  /// How many bytes were received.
  var filled = 0
  /// How many the frame has; 0 before its header is complete.
  var needed = 0

  var bytes: UnsafeMutableRawBufferPointer { memory.bytes }
}

/// The received bytes that a turn did not handle: whole frames, and perhaps the beginning of one.
final class ReceivedRest {
  private let memory: RawBuffer
  private let owner: ReceiveMemory
  private var start = 0

  init(_ bytes: UnsafeRawBufferPointer, _ owner: ReceiveMemory) {
    memory = RawBuffer(count: bytes.count)
    memory.bytes.copyMemory(from: bytes)
    self.owner = owner
    owner.waiting += bytes.count
  }

  deinit { owner.waiting -= memory.count }

  var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory.bytes[start...]) }

  func drop(_ count: Int) { start += count }
}
