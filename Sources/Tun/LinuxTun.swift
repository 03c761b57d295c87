public import SystemIO
public import SystemPackage
internal import Wire

/// A Linux TUN interface: layer 3, with super-packets where the kernel has them (Documentation/networking/tuntap.rst).
///
/// The interface lives as long as this object. Making and configuring it needs CAP_NET_ADMIN in the network's user
/// namespace; reading and writing needs no right. For one thread at a time.
public final class LinuxTun: PacketDevice {
  // Set once.
  private let tun: TunDescriptor
  let index: UInt32
  private let splitter = SuperPacketSplitter()
  /// The super-packets that this kernel takes and gives.
  let offloads: TunOffloads

  // Owned by the thread that has this object.
  /// As of the last look: another program may rename the interface.
  public internal(set) var name: String
  var netlink: RouteNetlink
  /// `nil` before the first configuration, and after `clearAddresses`.
  var wanted: InterfaceConfiguration?
  /// The networks with an unreachable route for this interface.
  var guarded: [HostNetwork.Prefix] = []
  /// When this program added the IPv6 address or brought the link up: the kernel makes the local route later.
  var latestChange6: Instant?
  private var registration: Registration?
  /// Some kernels accept the offload for UDP super-packets, and then refuse them (Linux 6.6.44 among them).
  private var refusesUDPSegments = false

  /// Makes the interface `name`, down and without address.
  ///
  /// With `offload`, reads and writes super-packets whole; UDP super-packets need Linux 6.2, and are split in software
  /// for an older kernel. Without, reads plain packets, and splits everything written in software.
  public init(name: String, offload: Bool) throws(TunError) {
    guard Self.isName(name) else { throw .badName(name) }
    self.name = name
    do { tun = try TunDescriptor() } catch { throw TunError(opening: error) }
    do { try tun.attach(name: name) } catch { throw TunError(attaching: name, error) }
    do { try tun.setHeader() } catch { throw .failed(step: "setting the header of \(name)", error, detail: nil) }
    offloads = try Self.choose(offload, for: tun, name)
    do {
      index = try interfaceIndex(of: name)
    } catch {
      throw .failed(step: "finding \(name)", error, detail: nil)
    }
    do { netlink = try RouteNetlink() } catch { throw TunError(netlink: error) }
    Self.removeStaleRoutes()
  }

  /// Throws unless this process can open /dev/net/tun. Does not check the right to make an interface.
  public static func checkDevice() throws(TunError) {
    do { _ = try TunDescriptor() } catch { throw TunError(opening: error) }
  }

  private static func choose(_ offload: Bool, for tun: borrowing TunDescriptor, _ name: String) throws(TunError)
    -> TunOffloads
  {
    let tcp: TunOffloads = [.checksum, .tcpSegmentation]
    let choices: [TunOffloads] = offload ? [tcp.union(.udpSegmentation), tcp] : [[]]
    var failure = Errno.invalidArgument
    for choice in choices {
      do {
        try tun.setOffloads(choice)
        return choice
      } catch {
        failure = error
        guard error == .invalidArgument else { break }
      }
    }
    throw .failed(step: "setting the offloads of \(name)", failure, detail: nil)
  }

  /// Whether the kernel accepts the name (`dev_valid_name`), without `%`, which it would replace by a number.
  private static func isName(_ name: String) -> Bool {
    (1...15).contains(name.utf8.count) && name != "." && name != ".."
      && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"/:%".utf8.contains($0) }
  }

  // MARK: Packets

  public func register(with loop: EventLoop, handler: any EventHandler) throws(Errno) {
    precondition(registration == nil, "the device has a loop")
    registration = try loop.register(tun.descriptor, for: .readable, handler: handler)
  }

  public func deregister(from loop: EventLoop) {
    guard let registration = registration.take() else { return }
    loop.deregister(tun.descriptor, registration)
  }

  /// Throws EBADFD after the interface was deleted.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int? {
    precondition(buffer.count >= Self.maximumRead)
    return try tun.descriptor.read(into: buffer)
  }

  /// Writes a packet from anywhere: checks it, and gives the kernel a new header of the checked values.
  public func write(_ packet: UnsafeRawBufferPointer) -> Bool {
    let bytes = packet.bytes
    guard let header = OffloadHeader(parsing: bytes) else { return false }
    let content = bytes.extracting(OffloadHeader.size..<bytes.byteCount)
    guard let layout = PacketLayout(of: content, with: header) else { return false }
    if takes(layout) {
      if put(content, layout.header) { return true }
      guard layout.isUDPSegmentation else { return false }
    }
    let isTaken = putSegments(of: content, layout)
    if isTaken, takes(layout) { refusesUDPSegments = true }
    return isTaken
  }

  private func putSegments(of content: RawSpan, _ layout: PacketLayout) -> Bool {
    var isTaken = true
    splitter.split(content, layout) { segment in
      // After a refusal, the rest of the stream would have a gap.
      if isTaken { isTaken = put(segment, OffloadHeader()) }
    }
    return isTaken
  }

  public var takesJoinedDatagrams: Bool { offloads.contains(.udpSegmentation) && !refusesUDPSegments }

  private func takes(_ layout: PacketLayout) -> Bool {
    switch layout.work {
    case .nothing: true
    case .checksum: offloads.contains(.checksum)
    case .segment(let cut) where cut.transport == .tcp:
      offloads.contains(.tcpSegmentation) && !layout.needsSoftware
    case .segment: takesJoinedDatagrams && !layout.needsSoftware
    }
  }

  private func put(_ packet: RawSpan, _ header: OffloadHeader) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: OffloadHeader.size, alignment: 2) { space in
      header.write(to: space)
      return packet.withUnsafeBytes { packet in
        (try? tun.write(header: UnsafeRawBufferPointer(space), packet: packet)) ?? false
      }
    }
  }
}
