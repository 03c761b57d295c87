import Device
import Noise
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

/// Other settings for a device that runs.
@Suite(.serialized) struct ChangesTests {
  private func servers(_ address: SocketAddress) -> [(host: String, port: UInt16)] {
    [(host: address.host, port: address.port)]
  }

  @Test func `a device that waits to try again tries other servers at once`() throws {
    let gone = try TestRelay()
    gone.stop()
    let relay = try TestRelay()
    defer { relay.stop() }
    let device = try TestDevice("one", relay: gone.address)
    #expect(!device.events.waitFor(2).isEmpty)
    device.device.apply { $0.servers = servers(relay.address) }
    #expect(device.address() != nil)
    device.stop()
  }

  @Test func `a device that is in stays in, and goes to the other server next time`() throws {
    let first = try TestRelay()
    let second = try TestRelay()
    defer { second.stop() }
    let device = try TestDevice("one", relay: first.address)
    #expect(device.address() != nil)
    device.device.apply { $0.servers = servers(second.address) }
    device.device.apply { $0.queueLimit = 1 << 20 }
    #expect(device.status()?.isJoined == true && device.status()?.joins == 1)
    first.stop()
    #expect(device.address(afterJoins: 2) != nil)
    #expect(device.status()?.server == second.address.description)
    device.stop()
  }

  @Test func `a peer whose key is pinned to another one is cut off at once, and let back`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let one = try TestDevice("one", relay: relay.address)
    let two = try TestDevice("two", relay: relay.address)
    let first = try #require(one.address())
    let second = try #require(two.address())
    #expect(one.knows(["two"]) && two.knows(["one"]))
    let packet = datagram(from: first, to: second, [1])
    one.send(packet)
    #expect(two.receive() == packet)
    one.device.apply { $0.pinnedKeys = ["two": testKey("somebody else").publicKey] }
    #expect(one.status() != nil)
    one.send(packet)
    #expect(wait { one.status()?.counters.unroutable == 1 })
    #expect(two.interface.takeWritten(within: .milliseconds(50)) == nil)
    one.device.apply { $0.pinnedKeys = ["two": testKey("two").publicKey] }
    one.send(packet)
    #expect(two.receive() == packet)
    one.stop()
    two.stop()
  }
}
