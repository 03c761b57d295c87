internal import CLinux
internal import Glibc

/// A piece of raw memory with one owner, freed when the owner lets go of it. Its contents start undefined.
public struct RawBuffer: ~Copyable, @unchecked Sendable {
  // `@unchecked`: the memory is reachable through this one value alone.
  public let bytes: UnsafeMutableRawBufferPointer

  /// From this size on, memory comes from the kernel and goes back there; the heap may keep it for ever.
  private static let mappingSize = 128 << 10

  /// Allocates `count` bytes, aligned for any integer. Pages that are not touched take no memory.
  public init(count: Int) {
    guard count >= Self.mappingSize else {
      bytes = .allocate(byteCount: count, alignment: 16)
      return
    }
    let address = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    precondition(address != MAP_FAILED, "the system has no memory left")
    bytes = UnsafeMutableRawBufferPointer(start: address, count: count)
  }

  deinit {
    if bytes.count < Self.mappingSize { bytes.deallocate() } else { munmap(bytes.baseAddress!, bytes.count) }
  }

  public var count: Int { bytes.count }
}
