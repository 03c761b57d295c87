internal import CLinux
internal import SystemIO
internal import SystemPackage
internal import Wire

/// Configures an interface by rtnetlink(7): MTU, queue, addresses, link; and lists the host's networks. For one thread
/// at a time; each call waits for the kernel's answer.
struct RouteNetlink: ~Copyable {
  private let socket: NetlinkSocket
  private let buffer = RawBuffer(count: 65_536)
  private var sequence: UInt32 = 0

  init() throws(Errno) {
    socket = try NetlinkSocket()
  }

  // MARK: The link

  struct Link: Equatable {
    let name: String
    let isUp: Bool
    let mtu: Int
    /// Whether packets can leave it while it is up.
    let hasCarrier: Bool
    /// Whether it is a part of another interface; for a TUN, of a routing domain (VRF).
    let isInDomain: Bool
    /// The kind of a virtual interface, such as `tun`; `nil` for a physical one.
    let kind: String?

    /// From an RTM_NEWLINK message.
    init?(_ content: RawSpan) {
      let size = MemoryLayout<ifinfomsg>.size
      guard content.byteCount >= size else { return nil }
      var (mtu, name): (Int?, String?)
      var (hasCarrier, isInDomain) = (true, false)
      var kind: String?
      let isWhole = NetlinkAnswer.attributes(content, from: size) { type, value in
        switch Int(type) {
        case IFLA_MTU: mtu = value.number.map { Int($0) }
        case IFLA_IFNAME: name = value.text
        case IFLA_CARRIER where value.byteCount == 1: hasCarrier = value.byte(0) != 0
        case Int(IFLA_LINKINFO):
          _ = NetlinkAnswer.attributes(value, from: 0) { type, value in
            if Int(type) == IFLA_INFO_KIND { kind = value.text }
          }
        case IFLA_MASTER: isInDomain = value.number ?? 0 != 0
        default: break
        }
      }
      guard isWhole, let mtu, let name else { return nil }
      self.mtu = mtu
      self.name = name
      self.hasCarrier = hasCarrier
      self.isInDomain = isInDomain
      self.kind = kind
      isUp = content.hostDoubleWord(8) & UInt32(IFF_UP) != 0
    }
  }

  mutating func link(_ index: UInt32) throws(NetlinkFailure) -> Link? {
    var request = ifinfomsg()
    request.ifi_index = CInt(bitPattern: index)
    var found: Link?
    try self.request(NetlinkMessage(type: RTM_GETLINK, flags: 0, body: request)) { type, content in
      if Int(type) == RTM_NEWLINK { found = Link(content) }
    }
    return found
  }

  mutating func setMTU(_ mtu: UInt32, of index: UInt32) throws(NetlinkFailure) {
    try setLink(index) { $0.attribute(IFLA_MTU, mtu) }
  }

  /// How many packets wait for the reader before the kernel drops more.
  mutating func setQueueLength(_ packets: UInt32, of index: UInt32) throws(NetlinkFailure) {
    try setLink(index) { $0.attribute(IFLA_TXQLEN, packets) }
  }

  /// Prevents an IPv6 link-local address: there is no neighbour to use it with. Fails where IPv6 is off.
  mutating func stopAddressGeneration(of index: UInt32) throws(NetlinkFailure) {
    try setLink(index) { message in
      message.nest(IFLA_AF_SPEC) { message in
        message.nest(Int(AF_INET6)) { $0.attribute(IFLA_INET6_ADDR_GEN_MODE, UInt8(IN6_ADDR_GEN_MODE_NONE.rawValue)) }
      }
    }
  }

  mutating func bringUp(_ index: UInt32) throws(NetlinkFailure) {
    try setLink(index, flags: UInt32(IFF_UP)) { _ in }
  }

  mutating func raiseCarrier(of index: UInt32) throws(NetlinkFailure) {
    try setLink(index) { $0.attribute(IFLA_CARRIER, UInt8(1)) }
  }

  private mutating func setLink(
    _ index: UInt32, flags: UInt32 = 0, _ attributes: (inout NetlinkMessage) -> Void
  ) throws(NetlinkFailure) {
    var link = ifinfomsg()
    link.ifi_index = CInt(bitPattern: index)
    link.ifi_flags = flags
    link.ifi_change = flags
    var message = NetlinkMessage(type: RTM_SETLINK, flags: 0, body: link)
    attributes(&message)
    try request(message)
  }

  // MARK: Addresses

  struct Address: Equatable, CustomStringConvertible {
    /// The address alone.
    let host: HostNetwork.Prefix
    let prefixLength: Int
    /// `nil` for IPv6, and for IPv4 networks of one or two addresses.
    var broadcast: IPv4Address?

    var network: HostNetwork.Prefix {
      switch host {
      case .ipv4(let host): .ipv4(IPv4Prefix(host.network, length: prefixLength))
      case .ipv6(let host): .ipv6(IPv6Prefix(host.network, length: prefixLength))
      }
    }

    var description: String { "\(host.address)/\(prefixLength)" }
  }

  /// The interface's addresses of one family, AF_INET or AF_INET6, without link-local ones.
  mutating func addresses(_ family: CInt, of index: UInt32) throws(NetlinkFailure) -> [Address] {
    let request = Self.addressMessage(RTM_GETADDR, flags: NLM_F_ROOT | NLM_F_MATCH, family, index)
    return try list(request) { type, content in
      guard Int(type) == RTM_NEWADDR, let address = Address(content, of: index) else { return [] }
      return address.host.isIPv6 == (family == AF_INET6) ? [address] : []
    }
  }

  mutating func add(_ address: Address, to index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, address, index))
  }

  mutating func remove(_ address: Address, from index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_DELADDR, flags: 0, address, index))
  }

  private static func message(_ type: Int, flags: CInt, _ address: Address, _ index: UInt32) -> NetlinkMessage {
    let family = address.host.isIPv6 ? AF_INET6 : AF_INET
    // No duplicate address detection: nobody on a TUN could answer, and the address would be unusable until it ends.
    var message = addressMessage(
      type, flags: flags, family, index, length: address.prefixLength,
      addressFlags: address.host.isIPv6 ? UInt8(IFA_F_NODAD) : 0)
    message.attribute(IFA_LOCAL, bytes: address.host.bytes)
    message.attribute(IFA_ADDRESS, bytes: address.host.bytes)
    if let broadcast = address.broadcast { message.attribute(IFA_BROADCAST, broadcast.bits.bigEndian) }
    return message
  }

  static func addressMessage(
    _ type: Int, flags: CInt, _ family: CInt, _ index: UInt32 = 0, length: Int = 0, addressFlags: UInt8 = 0
  ) -> NetlinkMessage {
    var body = ifaddrmsg()
    body.ifa_family = UInt8(family)
    body.ifa_prefixlen = UInt8(length)
    body.ifa_flags = addressFlags
    body.ifa_index = index
    return NetlinkMessage(type: type, flags: flags, body: body)
  }

  // MARK: Requests

  /// Asks for a list and collects what `item` makes of its messages. Asks again if the list changed meanwhile.
  mutating func list<Item>(
    _ message: NetlinkMessage, _ item: (UInt16, RawSpan) -> [Item]
  ) throws(NetlinkFailure) -> [Item] {
    for _ in 0..<5 {
      var items: [Item] = []
      do {
        try request(message) { type, content in items += item(type, content) }
        return items
      } catch {
        guard error.error == .interrupted else { throw error }
      }
    }
    throw NetlinkFailure(error: .interrupted)
  }

  /// The lists of IPv4 and IPv6, one behind the other. A kernel without IPv6 gives none.
  mutating func listBothFamilies<Item>(
    _ request: (CInt) -> NetlinkMessage, _ item: (UInt16, RawSpan) -> [Item]
  ) throws(NetlinkFailure) -> [Item] {
    var found: [Item] = []
    for family in [AF_INET, AF_INET6] {
      do {
        // Without IPv6, some kernels list IPv4 in its place.
        found += try list(request(family)) { type, content in
          content.byteCount > 0 && content.byte(0) == UInt8(family) ? item(type, content) : []
        }
      } catch {
        guard family == AF_INET6, [.addressFamilyNotSupported, .notSupportedOnSocket].contains(error.error) else {
          throw error
        }
      }
    }
    return found
  }

  /// Sends a request and waits for the end of the answer.
  mutating func request(
    _ message: NetlinkMessage, _ each: (UInt16, RawSpan) -> Void = { _, _ in }
  ) throws(NetlinkFailure) {
    sequence &+= 1
    var answer = NetlinkAnswer(sequence: sequence)
    var isEnd = false
    do throws(Errno) {
      try socket.send(message.finished(sequence: sequence))
    } catch {
      throw NetlinkFailure(error: error)
    }
    while !isEnd {
      let count: Int
      do {
        count = try socket.receive(into: buffer.bytes)
      } catch {
        throw NetlinkFailure(error: error)
      }
      isEnd = try answer.read(buffer.bytes.bytes.extracting(0..<count), each)
    }
  }
}

extension RouteNetlink.Address {
  /// From an RTM_NEWADDR message; `nil` if it is of another interface than `index`, or link-local.
  init?(_ content: RawSpan, of index: UInt32) {
    guard content.byteCount >= 8, content.hostDoubleWord(4) == index else { return nil }
    let isIPv6 = content.byte(0) == UInt8(AF_INET6)
    guard isIPv6 || content.byte(0) == UInt8(AF_INET) else { return nil }
    var host: HostNetwork.Prefix?
    var broadcast: IPv4Address?
    let isWhole = NetlinkAnswer.attributes(content, from: 8) { type, value in
      guard value.byteCount == (isIPv6 ? 16 : 4) else { return }
      switch Int(type) {
      // IFA_ADDRESS is the other end of an IPv4 link between two points.
      case isIPv6 ? IFA_ADDRESS : IFA_LOCAL: host = HostNetwork.Prefix(value)
      case IFA_BROADCAST where !isIPv6: broadcast = IPv4Address(bits: value.doubleWord(0))
      default: break
      }
    }
    guard isWhole, let host, !host.isLinkLocal, content.byte(1) <= host.length else { return nil }
    self.init(host: host, prefixLength: Int(content.byte(1)), broadcast: broadcast)
  }
}
