/// A piece of raw memory with one owner, freed when the owner lets go of it. Its contents start undefined.
public struct RawBuffer: ~Copyable, @unchecked Sendable {
  // `@unchecked`: the pointer is reachable through this one value alone, so it moves between threads with it.
  public let bytes: UnsafeMutableRawBufferPointer

  /// Allocates `count` bytes, aligned for any integer.
  public init(count: Int) {
    bytes = .allocate(byteCount: count, alignment: 16)
  }

  deinit {
    bytes.deallocate()
  }

  public var count: Int { bytes.count }
}
