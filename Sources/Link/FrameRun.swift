internal import SystemIO
internal import Wire

/// Whole frames for one destination, one behind the other in memory, in at most two pieces. Nothing is copied: it is good
/// only while the memory is.
public struct FrameRun: @unchecked Sendable {
  // `@unchecked`: whoever is handed a run uses it within that call, while the giver holds the memory.
  public private(set) var first = UnsafeRawBufferPointer(start: nil, count: 0)
  public private(set) var second = UnsafeRawBufferPointer(start: nil, count: 0)
  public private(set) var frames = 0

  public init() {}

  public init(_ bytes: UnsafeRawBufferPointer, frames: Int) {
    first = bytes
    self.frames = frames
  }

  public var isEmpty: Bool { frames == 0 }
  public var count: Int { first.count + second.count }

  /// Takes `frame` in if it lies where the run goes on or a second piece can begin. False: send the run first.
  public mutating func append(_ frame: UnsafeRawBufferPointer) -> Bool {
    if frames == 0 {
      first = frame
    } else if second.count > 0 {
      guard frame.baseAddress == second.baseAddress! + second.count else { return false }
      second = UnsafeRawBufferPointer(start: second.baseAddress, count: second.count + frame.count)
    } else if frame.baseAddress == first.baseAddress! + first.count {
      first = UnsafeRawBufferPointer(start: first.baseAddress, count: first.count + frame.count)
    } else {
      second = frame
    }
    frames += 1
    return true
  }

  /// Calls `body` with every frame and its header, in order.
  func eachFrame(_ body: (UnsafeRawBufferPointer, FrameHeader) -> Void) {
    Self.eachFrame(of: first, body)
    Self.eachFrame(of: second, body)
  }

  private static func eachFrame(
    of piece: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, FrameHeader) -> Void
  ) {
    var offset = 0
    while offset < piece.count {
      guard case .frame(let header)? = try? FrameScan(piece.bytes, at: offset) else {
        preconditionFailure("a run holds whole frames that were read or written before")
      }
      body(UnsafeRawBufferPointer(rebasing: piece[offset..<offset + header.frameSize]), header)
      offset += header.frameSize
    }
  }
}
