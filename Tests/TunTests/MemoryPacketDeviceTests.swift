import SystemIO
import TestSupport
import Testing
import Tun
import Wire

@Suite struct MemoryPacketDeviceTests {
  private final class Reader: EventHandler {
    let device: MemoryPacketDevice
    let loop: EventLoop
    private let buffer = RawBuffer(count: MemoryPacketDevice.maximumRead)

    init(device: MemoryPacketDevice, loop: EventLoop) {
      self.device = device
      self.loop = loop
    }

    /// Writes everything back, and stops at a packet that ends in 0.
    func handle(_ events: Events) {
      while let count = (try? device.read(into: buffer.bytes)) ?? nil {
        _ = device.write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
        if buffer.bytes[count - 1] == 0 {
          device.deregister(from: loop)
          loop.stop()
        }
      }
    }
  }

  @Test func `a loop is woken by injected packets and its writes can be waited for`() throws {
    let device = try MemoryPacketDevice()
    let loop = try EventLoop()
    let reader = Reader(device: device, loop: loop)
    try device.register(with: loop, handler: reader)
    let thread = SystemThread.start(name: "loop") { loop.run() }
    let packets: [[UInt8]] = [9, 8, 7, 0].map { [UInt8](repeating: 0, count: 10) + [0x45, $0] }
    for packet in packets { device.inject(packet) }
    for packet in packets {
      #expect(device.takeWritten(within: .seconds(10)) == packet)
    }
    thread.join()
    #expect(device.takeWritten() == nil)
  }

  @Test func `nothing waits to be read from a new device`() throws {
    let device = try MemoryPacketDevice()
    let buffer = RawBuffer(count: MemoryPacketDevice.maximumRead)
    #expect(try device.read(into: buffer.bytes) == nil)
    #expect(device.takeWritten(within: .milliseconds(2)) == nil)
  }

  @Test func `a packet that is no more than a header is refused`() throws {
    let device = try MemoryPacketDevice()
    #expect(![UInt8](repeating: 0, count: 10).withUnsafeBytes(device.write))
  }

  @Test func `the configuration can be looked up`() throws {
    let device = try MemoryPacketDevice()
    let prefix = try #require(IPv4Prefix("10.0.0.0/24"))
    let address = try #require(IPv4Address("10.0.0.2"))
    try device.configure(address: address, in: prefix, mtu: 1400)
    let configuration = try #require(device.configuration)
    #expect(configuration.address == address && configuration.prefix == prefix && configuration.mtu == 1400)
    try device.clearAddresses()
    #expect(device.configuration == nil && device.configurations == [configuration])
  }
}
