internal import CLinux
internal import Glibc
public import SystemPackage

/// A list of pieces of memory for one gathering send, with a fixed capacity and one owner.
public struct IOVectors: ~Copyable, @unchecked Sendable {
  // `@unchecked`: the memory is reachable through this one value alone.
  private let list: UnsafeMutableBufferPointer<iovec>
  private var count = 0

  public init(capacity: Int) {
    list = .allocate(capacity: capacity)
  }

  deinit {
    list.deallocate()
  }

  public var isFull: Bool { count == list.count }
  public var isEmpty: Bool { count == 0 }

  /// Adds a piece, which must live until the list is sent or emptied.
  public mutating func append(_ piece: UnsafeRawBufferPointer) {
    precondition(count < list.count)
    list[count] = iovec(iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress), iov_len: piece.count)
    count += 1
  }

  public mutating func removeAll() {
    count = 0
  }

  /// Sends as much of the pieces, one behind the other, as `socket` takes at once; `nil` if that is nothing.
  public borrowing func send(to socket: borrowing Descriptor) throws(Errno) -> Int? {
    try socket.send(UnsafeMutableBufferPointer(rebasing: list[..<count]))
  }
}
