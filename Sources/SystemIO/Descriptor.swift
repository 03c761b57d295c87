internal import CLinux
internal import Glibc
public import SystemPackage

/// An open file descriptor with one owner, closed when the owner lets go of it.
public struct Descriptor: ~Copyable, Sendable {
  /// The kernel's number, valid as long as this value lives.
  public let raw: CInt

  /// Takes over `raw`, which nobody else may close from now on.
  public init(owning raw: CInt) {
    precondition(raw >= 0, "a descriptor is never negative")
    self.raw = raw
  }

  /// Owns the result of `open`, a system call that makes a descriptor.
  init(_ open: () -> CInt) throws(Errno) {
    self.init(owning: try checked(open))
  }

  deinit {
    _ = Glibc.close(raw)
  }

  /// Gives the descriptor away without closing it.
  public consuming func release() -> CInt {
    let number = raw
    discard self
    return number
  }

  /// Waits until the descriptor is ready for one of `events`, at most until `deadline`. False: the time is up. Blocks,
  /// so never on a loop's thread.
  public borrowing func wait(for events: Events, until deadline: Instant) throws(Errno) -> Bool {
    var request = pollfd(fd: raw, events: 0, revents: 0)
    if events.contains(.readable) { request.events |= Int16(POLLIN) }
    if events.contains(.writable) { request.events |= Int16(POLLOUT) }
    while true {
      if isInterrupted() { continue }
      let left = deadline.since(.now()).nanoseconds
      let result = poll(&request, 1, CInt(clamping: (left + 999_999) / 1_000_000))
      if result > 0 { return true }
      if result == 0 { return false }
      guard errno == EINTR else { throw Errno(rawValue: errno) }
    }
  }
}

// Reading and writing, for non-blocking descriptors: `nil` means that the call would have blocked.
extension Descriptor {
  /// Reads what is there. Zero bytes mean the end of the stream.
  public borrowing func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int? {
    try nonBlocking(raw) {
      countCall(.read)
      return Glibc.read(raw, buffer.baseAddress, allowed(buffer.count, by: raw))
    }
  }

  /// Reads what is there into `first`, and into `second` once that is full. Zero bytes mean the end of the stream.
  public borrowing func read(
    into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int? {
    try withVectors(UnsafeRawBufferPointer(first), UnsafeRawBufferPointer(second)) { pieces throws(Errno) in
      try nonBlocking(raw) {
        countCall(.read)
        return withAllowed(pieces, by: raw) { Glibc.readv(raw, $0.baseAddress, CInt($0.count)) }
      }
    }
  }

  /// Writes as much of `bytes` as the kernel takes at once.
  public borrowing func write(_ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int? {
    try nonBlocking(raw) {
      countCall(.write)
      return Glibc.write(raw, bytes.baseAddress, allowed(bytes.count, by: raw))
    }
  }

  /// Sends as much of `bytes` as the socket takes at once. A closed peer is `Errno.brokenPipe`, never a signal.
  public borrowing func send(_ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int? {
    try nonBlocking(raw) {
      countCall(.send)
      return Glibc.send(raw, bytes.baseAddress, allowed(bytes.count, by: raw), CInt(MSG_NOSIGNAL))
    }
  }

  /// Sends as much of the two pieces, one behind the other, as the socket takes at once.
  public borrowing func send(
    _ first: UnsafeRawBufferPointer, then second: UnsafeRawBufferPointer
  ) throws(Errno) -> Int? {
    try withVectors(first, second) { pieces throws(Errno) in try send(pieces) }
  }

  fileprivate borrowing func send(_ pieces: UnsafeMutableBufferPointer<iovec>) throws(Errno) -> Int? {
    try nonBlocking(raw) {
      countCall(.send)
      return withAllowed(pieces, by: raw) { pieces in
        var message = msghdr()
        message.msg_iov = pieces.baseAddress
        message.msg_iovlen = pieces.count
        return Glibc.sendmsg(raw, &message, CInt(MSG_NOSIGNAL))
      }
    }
  }
}

// Whole files.
extension Descriptor {
  func status() throws(Errno) -> stat {
    var status = stat()
    try checked { fstat(raw, &status) }
    return status
  }

  /// Reads until the end of a file, or `limit` bytes.
  borrowing func readToEnd(limit: Int) throws(Errno) -> [UInt8] {
    var content: [UInt8] = []
    let buffer = RawBuffer(count: 16 << 10)
    while content.count < limit {
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<min(buffer.count, limit - content.count)])
      guard let count = try read(into: room), count > 0 else { break }
      content.append(contentsOf: room[..<count])
    }
    return content
  }

  /// Writes all of `bytes` to a file.
  borrowing func writeAll(_ bytes: UnsafeRawBufferPointer) throws(Errno) {
    var rest = bytes
    while !rest.isEmpty {
      let count = try checked { Glibc.write(raw, rest.baseAddress, allowed(rest.count, by: raw)) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  borrowing func writeAll(_ bytes: [UInt8]) throws(Errno) {
    try bytes.withUnsafeBufferPointer { bytes throws(Errno) in try writeAll(UnsafeRawBufferPointer(bytes)) }
  }
}

// MARK: - Pieces of memory

extension iovec {
  fileprivate init(_ piece: UnsafeRawBufferPointer) {
    self.init(iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress), iov_len: piece.count)
  }
}

/// Calls `body` with a list of two pieces of memory.
@inline(__always) func withVectors<Result>(
  _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer,
  _ body: (UnsafeMutableBufferPointer<iovec>) throws(Errno) -> Result
) throws(Errno) -> Result {
  var vectors = (iovec(first), iovec(second))
  return try withUnsafeMutableBytes(of: &vectors) { bytes throws(Errno) in
    try body(bytes.assumingMemoryBound(to: iovec.self))
  }
}

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
    list[count] = iovec(piece)
    count += 1
  }

  public mutating func removeAll() {
    count = 0
  }

  /// Sends as much of the pieces, one behind the other, as `socket` takes at once; `nil` if it takes none.
  public borrowing func send(to socket: borrowing Descriptor) throws(Errno) -> Int? {
    try socket.send(UnsafeMutableBufferPointer(rebasing: list[..<count]))
  }
}
