internal import Glibc
public import SystemIO
public import SystemPackage

/// Begins to connect to `there`, an IPv4 address of the loopback, from one of its many addresses: client `number` has
/// another one than those a hundred numbers away. One address alone has not ports enough for thousands, and a relay
/// limits how often each may begin.
public func loopbackConnection(to there: SocketAddress, client number: Int) throws(Errno) -> Descriptor {
  let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
  let raw = socket(AF_INET, type, 0)
  guard raw >= 0 else { throw Errno(rawValue: errno) }
  let descriptor = Descriptor(owning: raw)
  let host = number / 100
  var own = sockaddr_in()
  own.sin_family = sa_family_t(AF_INET)
  own.sin_addr.s_addr = (UInt32(127) << 24 | UInt32(1 + host / 250 % 250) << 16 | UInt32(1 + host % 250)).bigEndian
  var other = own
  other.sin_addr.s_addr = inet_addr(there.host)
  other.sin_port = there.port.bigEndian
  guard call(bind, descriptor, own) == 0 else { throw Errno(rawValue: errno) }
  guard call(connect, descriptor, other) == 0 || errno == EINPROGRESS else { throw Errno(rawValue: errno) }
  return descriptor
}

private func call(
  _ function: (CInt, UnsafePointer<sockaddr>?, socklen_t) -> CInt, _ descriptor: borrowing Descriptor,
  _ address: sockaddr_in
) -> CInt {
  withUnsafeBytes(of: address) { bytes in
    function(descriptor.raw, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
  }
}
