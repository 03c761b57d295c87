internal import CLinux
internal import Glibc
public import SystemPackage

/// The work on packets that a TUN's reader takes over from the kernel (TUNSETOFFLOAD).
public struct TunOffloads: OptionSet, Sendable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Partial checksums. Everything else needs this.
  public static let checksum = TunOffloads(rawValue: UInt32(TUN_F_CSUM))
  /// TCP super-packets, also with congestion notification bits.
  public static let tcpSegmentation = TunOffloads(rawValue: UInt32(TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
  /// UDP super-packets: TUN_F_USO4 and TUN_F_USO6, new in Linux 6.2 and missing in older headers.
  public static let udpSegmentation = TunOffloads(rawValue: 0x20 | 0x40)
}

/// An open /dev/net/tun (kernel Documentation/networking/tuntap.rst), not blocking, closed on exec.
public struct TunDescriptor: ~Copyable, Sendable {
  /// Readable when a packet waits.
  public let descriptor: Descriptor

  public static let path = "/dev/net/tun"

  /// Opens the device; no interface belongs to it yet.
  public init() throws(Errno) {
    descriptor = try Descriptor { open(Self.path, O_RDWR | O_NONBLOCK | O_CLOEXEC) }
  }

  /// Whether its owner, group and mode let this process open it.
  public static var isPermitted: Bool { faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 }

  /// Makes the layer-3 interface `name`, which lives as long as the descriptor; each packet has a virtio header in
  /// front. EBUSY if an interface of that name exists.
  public borrowing func attach(name: String) throws(Errno) {
    let flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL
    try shim(clinux_tun_attach(descriptor.raw, name, Int16(truncatingIfNeeded: flags)))
  }

  /// Makes the virtio headers of the attached interface ten bytes long and little-endian.
  public borrowing func setHeader() throws(Errno) {
    try shim(clinux_tun_set_header(descriptor.raw))
  }

  /// EINVAL if the kernel does not know one of them.
  public borrowing func setOffloads(_ offloads: TunOffloads) throws(Errno) {
    try shim(clinux_tun_set_offloads(descriptor.raw, offloads.rawValue))
  }

  /// Writes one packet, given as its virtio header and the rest. False: it would have blocked.
  public borrowing func write(header: UnsafeRawBufferPointer, packet: UnsafeRawBufferPointer) throws(Errno) -> Bool {
    try withVectors(header, packet) { pieces throws(Errno) in
      let written = try nonBlocking(descriptor.raw) {
        countCall(.write)
        return Glibc.writev(descriptor.raw, pieces.baseAddress, 2)
      }
      return written != nil
    }
  }
}

/// The index of the interface `name`; ENODEV if there is none.
public func interfaceIndex(of name: String) throws(Errno) -> UInt32 {
  let index = if_nametoindex(name)
  if index == 0 { throw Errno(rawValue: errno) }
  return index
}

/// The name of the interface with this index; `nil` if there is none.
public func interfaceName(of index: UInt32) -> String? {
  filledText(Int(IFNAMSIZ)) { if_indextoname(index, $0) != nil }
}
