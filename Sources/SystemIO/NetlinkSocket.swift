internal import CLinux
internal import Glibc
public import SystemPackage

/// A socket to the kernel's routing tables and interfaces (rtnetlink(7)), in the network namespace of the thread that
/// makes it.
public struct NetlinkSocket: ~Copyable, Sendable {
  public let descriptor: Descriptor

  /// For requests, with extended acknowledgements. Blocks for at most five seconds: the kernel answers at once or
  /// never.
  public init() throws(Errno) {
    let descriptor = try Descriptor(socket: AF_NETLINK, SOCK_RAW, protocol: NETLINK_ROUTE, isBlocking: true)
    try descriptor.setOption(SOL_SOCKET, SO_RCVTIMEO, timeval(tv_sec: 5, tv_usec: 0))
    // Older kernels lack one or the other (4.12, 4.20): then texts are missing, or the reader filters.
    for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK] {
      try? descriptor.setOption(SOL_NETLINK, option, CInt(1))
    }
    try Self.bind(descriptor, groups: 0)
    self.descriptor = descriptor
  }

  /// For the messages of multicast groups (RTMGRP_*); does not block.
  public init(monitoring groups: UInt32) throws(Errno) {
    let descriptor = try Descriptor(socket: AF_NETLINK, SOCK_RAW, protocol: NETLINK_ROUTE)
    try Self.bind(descriptor, groups: groups)
    self.descriptor = descriptor
  }

  private static func bind(_ descriptor: borrowing Descriptor, groups: UInt32) throws(Errno) {
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    address.nl_groups = groups
    try withUnsafeBytes(of: &address) { bytes throws(Errno) in
      let address = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress
      try checked { Glibc.bind(descriptor.raw, address, socklen_t(bytes.count)) }
    }
  }

  /// Sends one message to the kernel, which takes it whole or not at all.
  public borrowing func send(_ message: [UInt8]) throws(Errno) {
    try checked { Glibc.send(descriptor.raw, message, message.count, 0) }
  }

  /// Receives one datagram from the kernel, of one or more messages. EMSGSIZE if `buffer` is too small for it,
  /// ETIMEDOUT if none came.
  public borrowing func receive(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    while true {
      var sender = sockaddr_nl()
      var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
      let result = try withUnsafeMutableBytes(of: &sender) { bytes throws(Errno) in
        let address = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress
        // MSG_TRUNC: the result is the datagram's whole length.
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
