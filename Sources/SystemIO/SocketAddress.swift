internal import CLinux
internal import Glibc

/// An IPv4 or IPv6 address with a port, as the kernel takes it.
public struct SocketAddress: Sendable, Equatable, CustomStringConvertible {
  private(set) var storage = sockaddr_storage()
  private(set) var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

  /// No address yet.
  init() {}

  init(storage: sockaddr_storage) {
    self.storage = storage
  }

  init(_ address: UnsafePointer<sockaddr>, length: socklen_t) {
    self.length = length
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
    }
  }

  /// A numeric address (`192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`) and a port; `nil` if `host` is not one.
  public init?(numeric host: String, port: UInt16) {
    guard let first = try? lookUp(host, port: port, numericOnly: true).get().first else { return nil }
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

  /// The host alone. IPv4 addresses of IPv6 sockets are shown as IPv4.
  public var host: String {
    let host = filledText(Int(NI_MAXHOST)) { text in
      withSockaddr { getnameinfo($0, length, text, socklen_t(NI_MAXHOST), nil, 0, NI_NUMERICHOST) } == 0
    }
    guard let host else { return "unknown" }
    return host.hasPrefix("::ffff:") && host.contains(".") ? String(host.dropFirst(7)) : host
  }

  /// The network that one person is likely to control: an IPv4 address, or the first 64 bits of an IPv6 address.
  public var neighbourhood: String {
    let host = host
    guard host.contains(":") else { return host }
    return withUnsafeBytes(of: storage) { bytes in
      bytes[8..<16].map { String($0, radix: 16) }.joined(separator: ":") + "/64"
    }
  }

  /// Whether the address is in 127.0.0.0/8, or ::1.
  public var isLoopback: Bool {
    let bytes = bytes
    return isIPv6 ? bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1 : bytes.first == 127
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

  /// Sends one datagram to this address; the result and errno are sendto(2)'s.
  func send(_ bytes: [UInt8], from socket: CInt) -> Int {
    withSockaddr { sendto(socket, bytes, bytes.count, CInt(MSG_NOSIGNAL), $0, length) }
  }

  /// Fills an address in by a call such as `accept` or `getpeername`.
  static func filled<Result>(
    by call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Result
  ) -> (result: Result, address: SocketAddress) {
    var address = SocketAddress()
    var length = address.length
    let result = withUnsafeMutableBytes(of: &address.storage) {
      call($0.assumingMemoryBound(to: sockaddr.self).baseAddress!, &length)
    }
    address.length = length
    return (result, address)
  }
}

/// Why a name has no address.
public struct ResolveError: Error, CustomStringConvertible, Sendable {
  let code: CInt
  public var description: String { String(cString: gai_strerror(code)) }
}

/// Looks `host` up; the addresses are in the order to try them. Blocks for as long as the resolver takes unless
/// `numericOnly`.
func lookUp(_ host: String, port: UInt16, numericOnly: Bool) -> Result<[SocketAddress], ResolveError> {
  var hints = addrinfo()
  hints.ai_family = AF_UNSPEC
  hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
  hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : AI_ADDRCONFIG)
  var list: UnsafeMutablePointer<addrinfo>?
  let result = getaddrinfo(host, String(port), &hints, &list)
  guard result == 0 else { return .failure(ResolveError(code: result)) }
  defer { freeaddrinfo(list) }
  let entries = sequence(state: list) { next -> addrinfo? in
    defer { next = next?.pointee.ai_next }
    return next?.pointee
  }
  return .success(entries.map { SocketAddress($0.ai_addr, length: $0.ai_addrlen) })
}
