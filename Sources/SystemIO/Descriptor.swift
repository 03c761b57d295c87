internal import CLinux
internal import Glibc
public import SystemPackage

/// An open file descriptor with one owner, closed when the owner lets go of it.
public struct Descriptor: ~Copyable, Sendable {
  /// The number the kernel knows it by; valid as long as this value lives.
  public let raw: CInt

  /// Takes over `raw`, which nobody else may close from now on.
  public init(owning raw: CInt) {
    precondition(raw >= 0, "a descriptor is never negative")
    self.raw = raw
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
}

// Reading and writing. All of these are for non-blocking descriptors: `nil` says that the call would have blocked.
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
    var vectors = (
      iovec(iov_base: first.baseAddress, iov_len: first.count),
      iovec(iov_base: second.baseAddress, iov_len: second.count)
    )
    return try withUnsafeMutableBytes(of: &vectors) { bytes throws(Errno) in
      let pieces = bytes.assumingMemoryBound(to: iovec.self)
      return try nonBlocking(raw) {
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
    var vectors = (
      iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count),
      iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
    )
    return try withUnsafeMutableBytes(of: &vectors) { bytes throws(Errno) in
      try send(bytes.assumingMemoryBound(to: iovec.self))
    }
  }

  /// Sends as much of the pieces, one behind the other, as the socket takes at once.
  borrowing func send(_ pieces: UnsafeMutableBufferPointer<iovec>) throws(Errno) -> Int? {
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

// MARK: - The one rule for errno

/// Runs a system call that returns -1 and sets errno, again for as long as a signal interrupts it.
///
/// EBADF and EFAULT are bugs of ours and trap; every other error is thrown.
@discardableResult
func checked<Result: FixedWidthInteger>(_ call: () -> Result) throws(Errno) -> Result {
  while true {
    if isInterrupted() { continue }
    let result = call()
    if result != -1 { return result }
    if let error = lastError() { throw error }
  }
}

/// As `checked`, for a call on `descriptor`, with would-block as `nil`: it is no error, and is not thrown even for a moment.
func nonBlocking(_ descriptor: CInt, _ call: () -> Int) throws(Errno) -> Int? {
  while true {
    if isInterrupted() { continue }
    if wouldBlock(descriptor) { return nil }
    let result = call()
    if result != -1 { return result }
    if errno == EAGAIN || errno == EWOULDBLOCK { return nil }
    if let error = lastError() { throw error }
  }
}

/// What errno says, or `nil` if the call is to be made again.
private func lastError() -> Errno? {
  let error = errno
  if error == EINTR { return nil }
  precondition(error != EBADF && error != EFAULT, "a system call was given a bad descriptor or address")
  return Errno(rawValue: error)
}

/// Turns the result of a CLinux function, a value or -errno, into a value or a thrown error.
@discardableResult
func shim(_ result: CInt) throws(Errno) -> CInt {
  if result < 0 { throw Errno(rawValue: -result) }
  return result
}
