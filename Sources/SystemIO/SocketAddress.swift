internal import CLinux
internal import Glibc

/// An IPv4 or IPv6 address with a port, as the kernel takes it.
public struct SocketAddress: Sendable, Equatable, CustomStringConvertible {
  var storage: sockaddr_storage
  var length: socklen_t

  init(storage: sockaddr_storage, length: socklen_t) {
    self.storage = storage
    self.length = length
  }

  /// A numeric address (`192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`) and a port; `nil` if `host` is not one.
  public init?(numeric host: String, port: UInt16) {
    guard case .success(let addresses) = lookUp(host, port: port, numericOnly: true), let first = addresses.first else {
      return nil
    }
    self = first
  }

  public var isIPv6: Bool { storage.ss_family == sa_family_t(AF_INET6) }

  var isInternet: Bool { isIPv6 || storage.ss_family == sa_family_t(AF_INET) }

  /// The address alone in network byte order, 4 or 16 bytes.
  public var bytes: [UInt8] {
    withUnsafeBytes(of: storage) { Array($0[isIPv6 ? 8..<24 : 4..<8]) }
  }

  /// The interface that a link-local IPv6 address belongs to; 0 if it needs none.
  public var scope: UInt32 {
    isIPv6 ? withUnsafeBytes(of: storage) { $0.loadUnaligned(fromByteOffset: 24, as: UInt32.self) } : 0
  }

  public var port: UInt16 {
    withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) }
  }

  /// The same address with another port.
  func with(port: UInt16) -> SocketAddress {
    var copy = self
    withUnsafeMutableBytes(of: &copy.storage) { $0.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self) }
    return copy
  }

  /// The host alone; an IPv4 address that reached an IPv6 socket is shown as IPv4.
  public var host: String {
    var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let result = withSockaddr { getnameinfo($0, length, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST) }
    guard result == 0 else { return "unknown" }
    let host = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return host.hasPrefix("::ffff:") && host.contains(".") ? String(host.dropFirst(7)) : host
  }

  /// What one person is likely to have: an IPv4 address, or the 64 bits in front of an IPv6 address.
  public var neighbourhood: String {
    let host = host
    guard host.contains(":") else { return host }
    return withUnsafeBytes(of: storage) { bytes in
      bytes[8..<16].map { String($0, radix: 16) }.joined(separator: ":") + "/64"
    }
  }

  /// `192.0.2.1:3334` or `[2001:db8::1]:3334`.
  public var description: String {
    let host = host
    return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  public static func == (left: SocketAddress, right: SocketAddress) -> Bool {
    left.description == right.description
  }

  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>) -> Result) -> Result {
    withUnsafeBytes(of: storage) { body($0.assumingMemoryBound(to: sockaddr.self).baseAddress!) }
  }

  /// Fills an address in by a call such as `accept` or `getpeername`.
  static func filled(
    by call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
  ) -> (result: CInt, address: SocketAddress) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutableBytes(of: &storage) {
      call($0.assumingMemoryBound(to: sockaddr.self).baseAddress!, &length)
    }
    return (result, SocketAddress(storage: storage, length: length))
  }
}

/// Why a name has no address.
public struct ResolveError: Error, CustomStringConvertible, Sendable {
  let code: CInt
  public var description: String { String(cString: gai_strerror(code)) }
}

/// Looks `host` up, in the order in which the system would have them tried. Blocks for as long as the resolver takes
/// unless `numericOnly`.
func lookUp(_ host: String, port: UInt16, numericOnly: Bool) -> Result<[SocketAddress], ResolveError> {
  var hints = addrinfo()
  hints.ai_family = AF_UNSPEC
  hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
  hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : AI_ADDRCONFIG)
  var list: UnsafeMutablePointer<addrinfo>?
  let result = getaddrinfo(host, String(port), &hints, &list)
  guard result == 0 else { return .failure(ResolveError(code: result)) }
  defer { freeaddrinfo(list) }
  var addresses: [SocketAddress] = []
  var next = list
  while let entry = next {
    var storage = sockaddr_storage()
    withUnsafeMutableBytes(of: &storage) { bytes in
      bytes.copyMemory(from: UnsafeRawBufferPointer(start: entry.pointee.ai_addr, count: Int(entry.pointee.ai_addrlen)))
    }
    addresses.append(SocketAddress(storage: storage, length: entry.pointee.ai_addrlen))
    next = entry.pointee.ai_next
  }
  return .success(addresses)
}
