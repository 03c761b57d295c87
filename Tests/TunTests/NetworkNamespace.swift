import CLinux
import Glibc
import SystemIO
import SystemPackage
import TestSupport
import Testing
import Tun
import Wire

/// A network of its own, gone with this object: what happens in it touches nothing of the host.
///
/// Only the calling thread enters it, and only while `run` runs, so tests beside it are not moved. Sockets, TUN
/// interfaces and child processes made in there stay in there.
final class NetworkNamespace {
  private let descriptor: Descriptor

  /// Whether tests can have one, a TUN in it, and the `ip` command to look at it with.
  static let isAvailable: Bool = {
    guard let namespace = try? NetworkNamespace() else { return false }
    return namespace.run { (try? LinuxTun(name: "probe", offload: true)) != nil && !shell("ip link").isEmpty }
  }()

  static let requirement: Comment = "needs CAP_NET_ADMIN and CAP_SYS_ADMIN, /dev/net/tun and the ip command"

  // Swift's Glibc module lacks these GNU extensions.
  private static let unshare = function("unshare", as: (@convention(c) (CInt) -> CInt).self)
  private static let setns = function("setns", as: (@convention(c) (CInt, CInt) -> CInt).self)
  private static let newNetwork: CInt = 0x4000_0000

  private static func function<Function>(_ name: String, as type: Function.Type) -> Function {
    unsafeBitCast(dlsym(nil, name)!, to: type)
  }

  init() throws(Errno) {
    let before = try Self.current()
    guard Self.unshare(Self.newNetwork) == 0 else { throw Errno(rawValue: errno) }
    defer { Self.enter(before) }
    descriptor = try Self.current()
    shell("ip link set lo up")
  }

  /// Runs `body` with the calling thread in the namespace.
  func run<Result>(_ body: () throws -> Result) rethrows -> Result {
    guard let before = try? Self.current() else { preconditionFailure("no namespace to return to") }
    Self.enter(descriptor)
    defer { Self.enter(before) }
    return try body()
  }

  private static func current() throws(Errno) -> Descriptor {
    let result = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    guard result >= 0 else { throw Errno(rawValue: errno) }
    return Descriptor(owning: result)
  }

  private static func enter(_ namespace: borrowing Descriptor) {
    precondition(setns(namespace.raw, newNetwork) == 0, "the thread is stuck in a namespace")
  }
}

/// What a command prints, errors among it, until it and what it has left to run in the background have closed their
/// output.
@discardableResult
func shell(_ command: String) -> String {
  OtherProgram("/bin/sh", ["-c", command]).finish().output
}

/// Sets a kernel variable of the thread's network namespace, such as `ipv4/ip_forward`.
func setNetworkVariable(_ name: String, to value: String) {
  guard let file = fopen("/proc/sys/net/\(name)", "w") else { return }
  fputs(value, file)
  fclose(file)
}

/// Reads packets from a device until enough of the wanted ones came, or for ten seconds.
final class PacketCollector: EventHandler {
  private let device: LinuxTun
  private let isWanted: ([UInt8]) -> Bool
  private let count: Int
  private let loop: EventLoop
  private let buffer = RawBuffer(count: LinuxTun.maximumRead)
  private var packets: [(header: OffloadHeader, packet: [UInt8])] = []

  private init(_ device: LinuxTun, count: Int, isWanted: @escaping ([UInt8]) -> Bool) throws {
    self.device = device
    self.count = count
    self.isWanted = isWanted
    loop = try EventLoop()
  }

  static func collect(
    from device: LinuxTun, count: Int, within limit: Duration = .seconds(10),
    where isWanted: @escaping ([UInt8]) -> Bool
  ) throws -> [(header: OffloadHeader, packet: [UInt8])] {
    let collector = try PacketCollector(device, count: count, isWanted: isWanted)
    try device.register(with: collector.loop, handler: collector)
    let timer = collector.loop.schedule(after: limit) { [loop = collector.loop] in loop.stop() }
    collector.loop.run()
    collector.loop.cancel(timer)
    device.deregister(from: collector.loop)
    return collector.packets
  }

  func handle(_ events: Events) {
    while let count = (try? device.read(into: buffer.bytes)) ?? nil {
      let bytes = Array(buffer.bytes[..<count])
      guard let header = OffloadHeader(parsing: bytes.span.bytes) else { continue }
      let packet = Array(bytes.dropFirst(OffloadHeader.size))
      if isWanted(packet) { packets.append((header, packet)) }
    }
    if packets.count >= count { loop.stop() }
  }
}

extension PacketDevice {
  func write(_ packet: [UInt8], with header: OffloadHeader) -> Bool {
    var bytes = [UInt8](repeating: 0, count: OffloadHeader.size) + packet
    bytes.withUnsafeMutableBytes(header.write)
    return bytes.withUnsafeBytes(write)
  }
}
