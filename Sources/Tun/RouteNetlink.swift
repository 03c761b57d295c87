internal import CLinux
internal import SystemIO
internal import SystemPackage
internal import Wire

/// Sets up an interface by rtnetlink(7): MTU, queue, addresses, link. For one thread at a time; each call waits for the
/// kernel's answer.
struct RouteNetlink: ~Copyable {
  struct Address: Equatable {
    let address: IPv4Address
    let prefixLength: Int
    /// Networks of one or two addresses have none.
    let broadcast: IPv4Address?
  }

  private let socket: NetlinkSocket
  private let buffer = RawBuffer(count: 65_536)
  private var sequence: UInt32 = 0

  init() throws(Errno) {
    socket = try NetlinkSocket()
  }

  // MARK: The interface

  mutating func setMTU(_ mtu: UInt32, of index: UInt32) throws(NetlinkFailure) {
    try setLink(index) { $0.attribute(IFLA_MTU, mtu) }
  }

  /// How many packets wait for the reader before they are dropped.
  mutating func setQueueLength(_ packets: UInt32, of index: UInt32) throws(NetlinkFailure) {
    try setLink(index) { $0.attribute(IFLA_TXQLEN, packets) }
  }

  /// Makes no IPv6 link-local address, which would only talk to itself. Fails where IPv6 is off.
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

  // MARK: Its IPv4 addresses

  mutating func addresses(of index: UInt32) throws(NetlinkFailure) -> [Address] {
    // A list that changed while it was told is told again.
    for _ in 0..<5 {
      do {
        return try listAddresses(of: index)
      } catch {
        guard error.error == .interrupted else { throw error }
      }
    }
    throw NetlinkFailure(error: .interrupted, text: nil)
  }

  private mutating func listAddresses(of index: UInt32) throws(NetlinkFailure) -> [Address] {
    var filter = ifaddrmsg()
    filter.ifa_family = UInt8(AF_INET)
    filter.ifa_index = index
    var addresses: [Address] = []
    try request(NetlinkMessage(type: RTM_GETADDR, flags: NLM_F_ROOT | NLM_F_MATCH, body: filter)) { type, content in
      if Int(type) == RTM_NEWADDR, let address = Self.address(content, of: index) { addresses.append(address) }
    }
    return addresses
  }

  /// What an RTM_NEWADDR message says, if it is an IPv4 address of interface `index`.
  static func address(_ content: RawSpan, of index: UInt32) -> Address? {
    guard content.byteCount >= 8, content.byte(0) == UInt8(AF_INET), content.hostDoubleWord(4) == index else {
      return nil
    }
    var local: IPv4Address?
    var broadcast: IPv4Address?
    let isWhole = NetlinkAnswer.attributes(content.extracting(8..<content.byteCount)) { type, value in
      guard value.byteCount == 4 else { return }
      let address = IPv4Address(bits: value.doubleWord(0))
      switch Int(type) {
      case IFA_LOCAL: local = address
      case IFA_BROADCAST: broadcast = address
      default: break
      }
    }
    guard isWhole, let local else { return nil }
    return Address(address: local, prefixLength: Int(content.byte(1)), broadcast: broadcast)
  }

  mutating func add(_ address: Address, to index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, address, index))
  }

  mutating func remove(_ address: Address, from index: UInt32) throws(NetlinkFailure) {
    try request(Self.message(RTM_DELADDR, flags: 0, address, index))
  }

  private static func message(_ type: Int, flags: CInt, _ address: Address, _ index: UInt32) -> NetlinkMessage {
    var body = ifaddrmsg()
    body.ifa_family = UInt8(AF_INET)
    body.ifa_prefixlen = UInt8(address.prefixLength)
    body.ifa_index = index
    var message = NetlinkMessage(type: type, flags: flags, body: body)
    message.attribute(IFA_LOCAL, address.address.bits.bigEndian)
    message.attribute(IFA_ADDRESS, address.address.bits.bigEndian)
    if let broadcast = address.broadcast { message.attribute(IFA_BROADCAST, broadcast.bits.bigEndian) }
    return message
  }

  // MARK: Requests

  mutating func request(
    _ message: NetlinkMessage, _ each: (UInt16, RawSpan) -> Void = { _, _ in }
  ) throws(NetlinkFailure) {
    sequence &+= 1
    do {
      try socket.send(message.finished(sequence: sequence))
    } catch {
      throw NetlinkFailure(error: error, text: nil)
    }
    while true {
      let count: Int
      do {
        count = try socket.receive(into: buffer.bytes)
      } catch {
        throw NetlinkFailure(error: error, text: nil)
      }
      if try NetlinkAnswer.read(buffer.bytes.bytes.extracting(0..<count), sequence: sequence, each) { return }
    }
  }
}
