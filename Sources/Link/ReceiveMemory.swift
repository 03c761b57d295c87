internal import SystemIO
internal import Wire

/// What all connections of one loop read into: one large buffer, and a few spare ones for frames that have arrived in part.
/// Owned by the loop's thread.
public final class ReceiveMemory {
  let scratch: RawBuffer
  private var spares: [PartialFrame] = []
  private static let maximumSpares = 16
  /// The part of `scratch` for small portions: connections that have not joined, and all while much waits for its turn.
  let smallScratch: UnsafeMutableRawBufferPointer
  /// The size of all `ReceivedRest`, in bytes.
  fileprivate(set) var waiting = 0
  private let maximumWaiting: Int

  /// `size` bytes are read at once at the most: a dozen super-packets, so that a busy connection costs few wake-ups.
  /// Above `maximumWaiting` bytes that wait for their turn, all connections are read in small portions.
  public init(size: Int = 768 << 10, maximumWaiting: Int = 16 << 20) {
    precondition(size >= FrameHeader.maximumFrame)
    self.maximumWaiting = maximumWaiting
    scratch = RawBuffer(count: size)
    smallScratch = UnsafeMutableRawBufferPointer(rebasing: scratch.bytes[..<min(size, 32 << 10)])
  }

  /// What the next connection reads into.
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
