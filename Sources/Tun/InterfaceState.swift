internal import CLinux
internal import SystemIO
internal import SystemPackage
public import Wire

/// How an interface of this host is now, as the kernel tells it.
public struct InterfaceState: Equatable, Sendable {
  public var isUp: Bool
  /// In bytes.
  public var mtu: Int
  /// Its IPv4 addresses.
  public var addresses: [IPv4Address]

  public init(isUp: Bool, mtu: Int, addresses: [IPv4Address]) {
    self.isUp = isUp
    self.mtu = mtu
    self.addresses = addresses
  }

  /// Looks at the interface `name` of the calling thread's network namespace; `nil` if there is none. No right is needed.
  public static func look(at name: String) throws(TunError) -> InterfaceState? {
    guard let index = try? interfaceIndex(of: name) else { return nil }
    do throws(NetlinkFailure) {
      var netlink: RouteNetlink
      do throws(Errno) {
        netlink = try RouteNetlink()
      } catch {
        throw NetlinkFailure(error: error, text: nil)
      }
      guard let link = try netlink.link(index) else { return nil }
      let addresses = try netlink.addresses(of: index).map(\.address)
      return InterfaceState(isUp: link.isUp, mtu: link.mtu, addresses: addresses)
    } catch {
      // Gone meanwhile.
      if error.error == .noSuchAddressOrDevice || error.error == .operationNotSupportedByDevice { return nil }
      throw TunError(step: "looking at \(name)", error)
    }
  }
}

extension RouteNetlink {
  struct Link: Equatable {
    let isUp: Bool
    let mtu: Int
  }

  mutating func link(_ index: UInt32) throws(NetlinkFailure) -> Link? {
    var request = ifinfomsg()
    request.ifi_index = CInt(bitPattern: index)
    var found: Link?
    try self.request(NetlinkMessage(type: RTM_GETLINK, flags: 0, body: request)) { type, content in
      if Int(type) == RTM_NEWLINK { found = Self.link(content) }
    }
    return found
  }

  /// What an RTM_NEWLINK message says.
  static func link(_ content: RawSpan) -> Link? {
    let size = MemoryLayout<ifinfomsg>.size
    guard content.byteCount >= size else { return nil }
    let isUp = content.hostDoubleWord(8) & UInt32(IFF_UP) != 0
    var mtu: Int?
    let isWhole = NetlinkAnswer.attributes(content.extracting(size..<content.byteCount)) { type, value in
      if Int(type) == IFLA_MTU, value.byteCount == 4 { mtu = Int(value.hostDoubleWord(0)) }
    }
    guard isWhole, let mtu else { return nil }
    return Link(isUp: isUp, mtu: mtu)
  }
}
