internal import CLinux
internal import SystemIO
internal import SystemPackage

/// Sets up an interface by rtnetlink(7): MTU, queue, addresses, link; and lists the host's networks. For one thread at a time;
/// each call waits for the kernel's answer.
struct RouteNetlink: ~Copyable {
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

  // MARK: Requests

  /// Asks for a list and adds what `item` makes of its messages; a list that changed while it was told is told again.
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
    throw NetlinkFailure(error: .interrupted, text: nil)
  }

  /// Sends a request and waits for the end of the answer.
  mutating func request(
    _ message: NetlinkMessage, _ each: (UInt16, RawSpan) -> Void = { _, _ in }
  ) throws(NetlinkFailure) {
    sequence &+= 1
    var answer = NetlinkAnswer(sequence: sequence)
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
      if try answer.read(buffer.bytes.bytes.extracting(0..<count), each) { return }
    }
  }
}
