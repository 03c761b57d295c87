internal import CLinux
internal import Glibc
public import SystemPackage

/// What has changed in the host's network.
public struct NetworkChange: Sendable {
  /// Links, addresses or routes have changed, but for those of the own interface.
  public private(set) var concernsHost = false
  /// Link, addresses or routes of the own interface have changed, or an `UnreachableRoute`.
  public private(set) var concernsOwnInterface = false
  /// The own interface was deleted, or moved to another network namespace.
  public private(set) var hasLostOwnInterface = false
  /// Interfaces that carry packets again.
  private(set) var restored: Set<UInt32> = []
  /// The kernel has told more than was read.
  private(set) var isIncomplete = false

  /// Whether the interface may have been down meanwhile.
  public func mayHaveRestored(_ interface: UInt32) -> Bool { isIncomplete || restored.contains(interface) }

  mutating func addHost(restored interface: UInt32? = nil) {
    concernsHost = true
    if let interface { restored.insert(interface) }
  }

  mutating func addOwnInterface(isLost: Bool = false) {
    concernsOwnInterface = true
    if isLost { hasLostOwnInterface = true }
  }

  mutating func miss() {
    isIncomplete = true
    concernsHost = true
    concernsOwnInterface = true
  }
}

/// Tells of changes of the host's links, addresses and routes (rtnetlink(7)): together when many come, and not too often.
///
/// Belongs to the network namespace of the thread that makes it, and to its loop's thread.
public final class NetworkMonitor: EventHandler {
  // Set once.
  private let descriptor: Descriptor
  private let events: EventLoop
  private let own: UInt32?
  private let onChange: (NetworkChange) -> Void

  // Owned by the loop's thread.
  private let buffer = RawBuffer(count: 32 << 10)
  private var registration: Registration?
  /// Whether each link carries packets, as far as the kernel has told.
  private var links: [UInt32: Bool] = [:]
  private var change: NetworkChange?
  private var lastReport: Instant?

  /// One change seldom comes alone: a link brings its addresses, and these their routes.
  private static let delay = Duration.milliseconds(200)
  private static let interval = Duration.milliseconds(500)

  /// `own` is the index of the interface whose changes are reported apart from the host's; a rename does not change it.
  public init(
    on events: EventLoop, own: UInt32?, _ onChange: @escaping (NetworkChange) -> Void
  ) throws(Errno) {
    self.events = events
    self.own = own
    self.onChange = onChange
    let type = CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = Descriptor(owning: try checked { socket(AF_NETLINK, type, NETLINK_ROUTE) })
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    address.nl_groups = UInt32(
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE
        | RTMGRP_IPV6_IFINFO)
    try withUnsafeBytes(of: &address) { bytes throws(Errno) in
      let address = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress
      try checked { bind(descriptor.raw, address, socklen_t(bytes.count)) }
    }
    self.descriptor = descriptor
    registration = try events.register(self.descriptor, for: .readable, handler: self)
  }

  /// Ends it; nothing is told any more.
  public func stop() {
    if let registration = registration.take() { events.deregister(descriptor, registration) }
  }

  public func handle(_ events: Events) {
    while true {
      do {
        guard let count = try descriptor.read(into: buffer.bytes) else { return }
        read(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
      } catch {
        // More has happened than the socket holds.
        guard error == .noBufferSpace else { return stop() }
        note { $0.miss() }
      }
    }
  }

  /// Goes through the messages of one datagram.
  private func read(_ datagram: UnsafeRawBufferPointer) {
    var rest = datagram
    while rest.count >= 16 {
      let length = Int(rest.loadUnaligned(as: UInt32.self))
      guard (16...rest.count).contains(length) else { return }
      let type = Int(rest.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
      read(type, UnsafeRawBufferPointer(rebasing: rest[16..<length]))
      rest = UnsafeRawBufferPointer(rebasing: rest[min((length + 3) & ~3, rest.count)...])
    }
  }

  private func read(_ type: Int, _ content: UnsafeRawBufferPointer) {
    switch type {
    case RTM_NEWLINK, RTM_DELLINK:
      guard content.count >= 16 else { return }
      let index = content.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
      if index == own { return note { $0.addOwnInterface(isLost: Self.isEnd(type, content)) } }
      // The other families tell of what a link is to IPv6, to a bridge, and the like.
      guard content[0] == UInt8(AF_UNSPEC) else { return }
      let flags = content.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
      take(link: index, isThere: type == RTM_NEWLINK, flags)
    case RTM_NEWADDR, RTM_DELADDR:
      guard content.count >= 8 else { return }
      let isOwn = content.loadUnaligned(fromByteOffset: 4, as: UInt32.self) == own
      note { if isOwn { $0.addOwnInterface() } else { $0.addHost() } }
    case RTM_NEWROUTE, RTM_DELROUTE:
      // A cloned route is what the kernel has learned of one host.
      guard content.count >= 12, content.loadUnaligned(fromByteOffset: 8, as: UInt32.self) & UInt32(RTM_F_CLONED) == 0
      else { return }
      let isOwn = own != nil && (outputInterface(content) == own || UnreachableRoute.isKept(content))
      note { if isOwn { $0.addOwnInterface() } else { $0.addHost() } }
    default:
      break
    }
  }

  /// Whether the link itself has ended: a message of another family, such as IPv6, says only that it has left that
  /// family.
  private static func isEnd(_ type: Int, _ content: UnsafeRawBufferPointer) -> Bool {
    type == RTM_DELLINK && content[0] == UInt8(AF_UNSPEC)
  }

  /// Many a message about a link says nothing new, such as each of a wireless one that looks for others.
  private func take(link index: UInt32, isThere: Bool, _ flags: UInt32) {
    let needed = UInt32(IFF_UP | IFF_RUNNING)
    let carries = isThere && flags & needed == needed
    let former = links[index]
    links[index] = isThere ? carries : nil
    // Of a link that was not heard of before, addresses and routes tell.
    guard carries != (former ?? true) else { return }
    note { $0.addHost(restored: carries ? index : nil) }
  }

  /// RTA_OIF among a route's attributes.
  private func outputInterface(_ content: UnsafeRawBufferPointer) -> UInt32? {
    var offset = 12
    while content.count - offset >= 4 {
      let length = Int(content.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
      let type = content.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self) & 0x3FFF
      guard length >= 4, length <= content.count - offset else { return nil }
      if Int(type) == Int(RTA_OIF.rawValue), length == 8 {
        return content.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
      }
      offset += (length + 3) & ~3
    }
    return nil
  }

  private func note(_ body: (inout NetworkChange) -> Void) {
    let isFirst = change == nil
    var noted = change ?? NetworkChange()
    body(&noted)
    change = noted
    guard isFirst else { return }
    let now = Instant.now()
    let wait = max(Self.delay, lastReport.map { Self.interval - now.since($0) } ?? .zero)
    events.schedule(after: wait) { [weak self] in self?.report() }
  }

  private func report() {
    guard registration != nil, let change = change.take() else { return }
    lastReport = .now()
    onChange(change)
  }
}

/// A route that refuses packets for a network while no other route takes them. It has the highest metric. It is marked
/// as the kernel's, because systemd-networkd removes all other routes that it has not made itself whenever it
/// configures an interface.
public enum UnreachableRoute {
  public static let metric = UInt32.max
  /// As rtm_protocol and rtm_type have it (rtnetlink(7)).
  public static let rtmProtocol = UInt8(RTPROT_KERNEL)
  public static let rtmType = UInt8(RTN_UNREACHABLE)

  /// Whether a route message, of 12 bytes or more, may tell of one.
  static func isKept(_ content: UnsafeRawBufferPointer) -> Bool {
    content[5] == rtmProtocol && content[7] == rtmType
  }
}
