internal import CLinux
internal import Glibc
public import SystemPackage

/// What the reader of a TUN takes over from the kernel (TUNSETOFFLOAD): what is missing is done before a packet is read.
public struct TunOffloads: OptionSet, Sendable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Partial checksums. Everything else needs this.
  public static let checksum = TunOffloads(rawValue: UInt32(TUN_F_CSUM))
  /// TCP super-packets, with congestion notification bits, too.
  public static let tcpSegmentation = TunOffloads(rawValue: UInt32(TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
  /// UDP super-packets: TUN_F_USO4 and TUN_F_USO6, which came with Linux 6.2 and are missing in older headers.
  public static let udpSegmentation = TunOffloads(rawValue: 0x20 | 0x40)
}

/// An open /dev/net/tun (kernel Documentation/networking/tuntap.rst), not blocking, closed on exec.
public struct TunDescriptor: ~Copyable, Sendable {
  /// Readable when a packet waits.
  public let descriptor: Descriptor

  public static let path = "/dev/net/tun"

  /// Opens the device; no interface belongs to it yet.
  public init() throws(Errno) {
    descriptor = Descriptor(
      owning: try checked { open(Self.path, O_RDWR | O_NONBLOCK | O_CLOEXEC) })
  }

  /// Whether its owner, group and mode let this process open it.
  public static var isPermitted: Bool { faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 }

  /// Makes the layer-3 interface `name`, which lives as long as the descriptor; a virtio header stands before each of its
  /// packets. An interface of that name that is there already is never taken over: EBUSY.
  public borrowing func attach(name: String) throws(Errno) {
    let flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL
    var attached = [CChar](repeating: 0, count: Int(IFNAMSIZ))
    try shim(clinux_tun_attach(descriptor.raw, name, Int16(truncatingIfNeeded: flags), &attached))
  }

  /// Makes the virtio headers of the attached interface ten bytes long and little-endian.
  public borrowing func setHeader() throws(Errno) {
    try shim(clinux_tun_set_header(descriptor.raw))
  }

  /// Says what this reader takes; EINVAL if the kernel does not know one of them.
  public borrowing func setOffloads(_ offloads: TunOffloads) throws(Errno) {
    try shim(clinux_tun_set_offloads(descriptor.raw, offloads.rawValue))
  }

  /// Writes one packet, given as its virtio header and the rest. False: it would have blocked.
  public borrowing func write(header: UnsafeRawBufferPointer, packet: UnsafeRawBufferPointer) throws(Errno) -> Bool {
    var vectors = (
      iovec(iov_base: UnsafeMutableRawPointer(mutating: header.baseAddress), iov_len: header.count),
      iovec(iov_base: UnsafeMutableRawPointer(mutating: packet.baseAddress), iov_len: packet.count)
    )
    return try withUnsafeBytes(of: &vectors) { bytes throws(Errno) in
      let list = bytes.assumingMemoryBound(to: iovec.self).baseAddress!
      let written = try nonBlocking(descriptor.raw) {
        countCall(.write)
        return Glibc.writev(descriptor.raw, list, 2)
      }
      return written != nil
    }
  }
}

/// The number by which the kernel knows the interface `name`; ENODEV if there is none.
public func interfaceIndex(of name: String) throws(Errno) -> UInt32 {
  let index = if_nametoindex(name)
  if index == 0 { throw Errno(rawValue: errno) }
  return index
}

/// What the kernel calls the interface of this number; `nil` if there is none.
public func interfaceName(of index: UInt32) -> String? {
  var name = [CChar](repeating: 0, count: Int(IFNAMSIZ))
  guard if_indextoname(index, &name) != nil else { return nil }
  return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
