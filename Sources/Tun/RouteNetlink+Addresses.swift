internal import CLinux
internal import Wire

// An interface's addresses.
extension RouteNetlink {
  struct Address: Equatable, CustomStringConvertible {
    let address: IPv4Address
    let prefixLength: Int
    /// Networks of one or two addresses have none.
    let broadcast: IPv4Address?

    var description: String { "\(address)/\(prefixLength)" }
  }

  struct Address6: Equatable, CustomStringConvertible {
    let address: IPv6Address
    let prefixLength: Int

    var description: String { "\(address)/\(prefixLength)" }
  }

  mutating func addresses(of index: UInt32) throws(NetlinkFailure) -> [Address] {
    try list(Self.request(AF_INET, index)) { type, content in
      Int(type) == RTM_NEWADDR ? [Self.address(content, of: index)].compactMap { $0 } : []
    }
  }

  /// Those of IPv6, but for link-local ones.
  mutating func addresses6(of index: UInt32) throws(NetlinkFailure) -> [Address6] {
    try list(Self.request(AF_INET6, index)) { type, content in
      Int(type) == RTM_NEWADDR ? [Self.address6(content, of: index)].compactMap { $0 } : []
    }
  }

  private static func request(_ family: CInt, _ index: UInt32) -> NetlinkMessage {
    var filter = ifaddrmsg()
    filter.ifa_family = UInt8(family)
    filter.ifa_index = index
    return NetlinkMessage(type: RTM_GETADDR, flags: NLM_F_ROOT | NLM_F_MATCH, body: filter)
  }

  /// What an RTM_NEWADDR message says, if it is an IPv4 address of interface `index`.
  static func address(_ content: RawSpan, of index: UInt32) -> Address? {
    guard content.byteCount >= 8, content.byte(0) == UInt8(AF_INET), content.hostDoubleWord(4) == index else {
      return nil
    }
    var local: IPv4Address?
    var broadcast: IPv4Address?
    let isWhole = NetlinkAnswer.attributes(content.extracting(8..<content.byteCount)) { type, value in
      switch Int(type) {
      case IFA_LOCAL: local = value.ipv4Address
      case IFA_BROADCAST: broadcast = value.ipv4Address
      default: break
      }
    }
    guard isWhole, let local else { return nil }
    return Address(address: local, prefixLength: Int(content.byte(1)), broadcast: broadcast)
  }

  /// The same of IPv6.
  static func address6(_ content: RawSpan, of index: UInt32) -> Address6? {
    guard content.byteCount >= 8, content.byte(0) == UInt8(AF_INET6), content.hostDoubleWord(4) == index else {
      return nil
    }
    var found: IPv6Address?
    let isWhole = NetlinkAnswer.attributes(content.extracting(8..<content.byteCount)) { type, value in
      if Int(type) == IFA_ADDRESS { found = value.ipv6Address }
    }
    guard isWhole, let found, !found.isLinkLocal else { return nil }
    return Address6(address: found, prefixLength: Int(content.byte(1)))
  }

  mutating func add(_ address: Address, to index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, address, index))
  }

  mutating func remove(_ address: Address, from index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_DELADDR, flags: 0, address, index))
  }

  mutating func add(_ address: Address6, to index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, address, index))
  }

  mutating func remove(_ address: Address6, from index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_DELADDR, flags: 0, address, index))
  }

  private static func message(_ type: Int, flags: CInt, _ address: Address, _ index: UInt32) -> NetlinkMessage {
    var body = ifaddrmsg()
    body.ifa_family = UInt8(AF_INET)
    body.ifa_prefixlen = UInt8(address.prefixLength)
    body.ifa_index = index
    var message = NetlinkMessage(type: type, flags: flags, body: body)
    message.attribute(IFA_LOCAL, address.address)
    message.attribute(IFA_ADDRESS, address.address)
    if let broadcast = address.broadcast { message.attribute(IFA_BROADCAST, broadcast) }
    return message
  }

  private static func message(_ type: Int, flags: CInt, _ address: Address6, _ index: UInt32) -> NetlinkMessage {
    var body = ifaddrmsg()
    body.ifa_family = UInt8(AF_INET6)
    body.ifa_prefixlen = UInt8(address.prefixLength)
    // Nobody on a TUN could answer whether it has the address too, and until then it could not be used.
    body.ifa_flags = UInt8(IFA_F_NODAD)
    body.ifa_index = index
    var message = NetlinkMessage(type: type, flags: flags, body: body)
    message.attribute(IFA_LOCAL, address.address)
    message.attribute(IFA_ADDRESS, address.address)
    return message
  }
}

extension IPv6Address {
  /// fe80::/10 (RFC 4291, section 2.5.6).
  var isLinkLocal: Bool { high >> 54 == 0xFE80 >> 6 }

  /// ff00::/8
  var isMulticast: Bool { high >> 56 == 0xFF }
}
