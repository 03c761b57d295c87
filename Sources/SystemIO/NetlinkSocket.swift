internal import CLinux
internal import Glibc
public import SystemPackage

/// A socket to the kernel's routing tables and interfaces (rtnetlink(7)), with extended acknowledgements.
///
/// It blocks, five seconds at the most: the kernel answers at once or not at all. It belongs to the network namespace of
/// the thread that made it.
public struct NetlinkSocket: ~Copyable, Sendable {
  private let descriptor: Descriptor

  public init() throws(Errno) {
    let descriptor = Descriptor(
      owning: try checked { socket(AF_NETLINK, CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), NETLINK_ROUTE) })
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    try checked {
      setsockopt(descriptor.raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    var on: CInt = 1
    // Older kernels lack one or the other (4.12, 4.20); what is missing is then some text, or filtered by the reader.
    for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK] {
      _ = setsockopt(descriptor.raw, SOL_NETLINK, option, &on, socklen_t(MemoryLayout<CInt>.size))
    }
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    try withUnsafeBytes(of: &address) { bytes throws(Errno) in
      let address = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress
      try checked { bind(descriptor.raw, address, socklen_t(bytes.count)) }
    }
    self.descriptor = descriptor
  }

  /// Sends one message to the kernel.
  public borrowing func send(_ message: [UInt8]) throws(Errno) {
    // A message is taken whole or not at all.
    try checked { Glibc.send(descriptor.raw, message, message.count, 0) }
  }

  /// Receives one datagram from the kernel, of one or more messages. EMSGSIZE if `buffer` is too small for it, ETIMEDOUT
  /// if none came.
  public borrowing func receive(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    while true {
      var sender = sockaddr_nl()
      var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
      let result = try withUnsafeMutableBytes(of: &sender) { bytes throws(Errno) in
        let address = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress
        // MSG_TRUNC: the result is the datagram's length, whatever fits.
        return try nonBlocking(descriptor.raw) {
          recvfrom(descriptor.raw, buffer.baseAddress, buffer.count, CInt(MSG_TRUNC), address, &length)
        }
      }
      guard let count = result else { throw .timedOut }
      guard count <= buffer.count else { throw .messageTooLong }
      // Other processes may send to this socket as well; the kernel's number is zero.
      if sender.nl_pid == 0 { return count }
    }
  }
}
