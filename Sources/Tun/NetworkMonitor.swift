internal import CLinux
public import SystemIO
public import SystemPackage

/// What has changed in the host's network.
public struct NetworkChange: Sendable {
  /// Links, addresses or routes have changed, other than the own interface's.
  public fileprivate(set) var concernsHost = false
  /// Link, addresses or routes of the own interface have changed, or an `UnreachableRoute`.
  public fileprivate(set) var concernsOwnInterface = false
  /// The own interface was deleted, or moved to another network namespace.
  public fileprivate(set) var hasLostOwnInterface = false
  /// Interfaces that carry packets again.
  fileprivate var restored: Set<UInt32> = []
  /// The kernel dropped messages.
  fileprivate var isIncomplete = false

  /// Whether the interface may have been down meanwhile.
  public func mayHaveRestored(_ interface: UInt32) -> Bool { isIncomplete || restored.contains(interface) }
}

/// Reports changes of the host's links, addresses and routes (rtnetlink(7)). Collects changes that come together, and
/// limits the rate of reports.
///
/// Watches the network namespace of the thread that makes it. Owned by its loop's thread.
public final class NetworkMonitor: EventHandler {
  // Set once.
  private let socket: NetlinkSocket
  private let events: EventLoop
  private let own: UInt32?
  private let onChange: (NetworkChange) -> Void

  // Owned by the loop's thread.
  private let buffer = RawBuffer(count: 32 << 10)
  private var registration: Registration?
  /// Whether each link carries packets.
  private var links: [UInt32: Bool] = [:]
  private var change: NetworkChange?
  private var lastReport: Instant?

  /// One change seldom comes alone: a link brings its addresses, and these their routes.
  private static let delay = Duration.milliseconds(200)
  private static let interval = Duration.milliseconds(500)

  /// Reports changes of the interface with index `own` apart from the host's; a rename does not change the index.
  public init(
    on events: EventLoop, own: UInt32?, _ onChange: @escaping (NetworkChange) -> Void
  ) throws(Errno) {
    self.events = events
    self.own = own
    self.onChange = onChange
    socket = try NetlinkSocket(
      monitoring: UInt32(
        RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE
          | RTMGRP_IPV6_IFINFO))
    registration = try events.register(socket.descriptor, for: .readable, handler: self)
  }

  /// Ends all reports.
  public func stop() {
    if let registration = registration.take() { events.deregister(socket.descriptor, registration) }
  }

  public func handle(_ events: Events) {
    while true {
      do {
        guard let count = try socket.descriptor.read(into: buffer.bytes) else { return }
        let datagram = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
        read(datagram.bytes)
      } catch {
        // The kernel dropped messages, because the socket's buffer was full.
        guard error == .noBufferSpace else { return stop() }
        note { change in
          change.isIncomplete = true
          change.concernsHost = true
          change.concernsOwnInterface = true
        }
      }
    }
  }

  private func read(_ datagram: RawSpan) {
    var offset = 0
    while offset < datagram.byteCount, let message = NetlinkAnswer.Message(datagram, at: offset) {
      read(Int(message.type), datagram.extracting(message.content))
      offset = message.end
    }
  }

  private func read(_ type: Int, _ content: RawSpan) {
    switch type {
    case RTM_NEWLINK, RTM_DELLINK:
      guard content.byteCount >= 16 else { return }
      let index = content.hostDoubleWord(4)
      // A message of another family, such as IPv6, says only what the link is to that family.
      let isLink = content.byte(0) == UInt8(AF_UNSPEC)
      if index == own {
        note { change in
          change.concernsOwnInterface = true
          if isLink, type == RTM_DELLINK { change.hasLostOwnInterface = true }
        }
      } else if isLink {
        take(link: index, isThere: type == RTM_NEWLINK, flags: content.hostDoubleWord(8))
      }
    case RTM_NEWADDR, RTM_DELADDR:
      guard content.byteCount >= 8 else { return }
      noteChange(isOwn: content.hostDoubleWord(4) == own)
    case RTM_NEWROUTE, RTM_DELROUTE:
      guard let route = RouteMessage(content), !route.isCached else { return }
      let leadsToOwn = route.interface == own && !route.hasSeveralHops
      noteChange(isOwn: own != nil && (leadsToOwn || route.isKeptUnreachable))
    default:
      break
    }
  }

  /// Many messages about a link say nothing new, such as each of a wireless link that scans.
  private func take(link index: UInt32, isThere: Bool, flags: UInt32) {
    let needed = UInt32(IFF_UP | IFF_RUNNING)
    let carries = isThere && flags & needed == needed
    let former = links[index]
    links[index] = isThere ? carries : nil
    // A new link shows by its addresses and routes.
    guard carries != (former ?? true) else { return }
    note { change in
      change.concernsHost = true
      if carries { change.restored.insert(index) }
    }
  }

  private func noteChange(isOwn: Bool) {
    note { change in
      if isOwn { change.concernsOwnInterface = true } else { change.concernsHost = true }
    }
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
