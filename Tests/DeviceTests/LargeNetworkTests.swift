import Device
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

/// Devices in a network so large that the relay tells each device only of the peers that it asks for.
@Suite(.serialized) struct LargeNetworkTests {
  /// A device that finds a large network: the first one finds a small network, and asks every peer.
  private func joined(_ deviceID: String, _ relay: TestRelay) throws -> TestDevice {
    let device = try TestDevice(deviceID, relay: relay.address)
    #expect(wait { device.status()?.isPartial == true })
    return device
  }

  @Test func `devices reach each other without having been told of each other`() throws {
    let relay = try TestRelay(peerList: 0)
    defer { relay.stop() }
    let devices = try ["one", "two", "three"].map { try joined($0, relay) }
    defer { for device in devices { device.stop() } }
    let addresses = try devices.map { try #require($0.address()) }
    #expect(devices[0].knows([]))
    for (source, destination) in [(0, 1), (1, 0), (2, 0)] {
      let packet = datagram(from: addresses[source], to: addresses[destination], Array("hello".utf8))
      devices[source].send(packet)
      #expect(devices[destination].receive() == packet)
    }
    #expect(devices[0].knows(["two", "three"]) && devices[1].knows(["one"]))
  }

  /// The peer that a device finds for this label.
  private func locate(_ label: String, _ device: TestDevice) -> LocateOutcome? {
    let answer = Mailbox<LocateOutcome>()
    device.device.locate(label: label, within: .seconds(60)) { answer.put($0) }
    return answer.waitFor(1).first
  }

  @Test(arguments: [0, 100])
  func `a peer is found by its label, whether the relay has told of it or has to be asked`(peerList: Int) throws {
    let relay = try TestRelay(peerList: peerList)

    let one = try TestDevice("one", relay: relay.address)
    let two = try TestDevice("Kitchen_Hub", relay: relay.address)
    defer {
      one.stop()
      two.stop()
    }
    let address = try #require(two.address())
    #expect(one.address() != nil)
    #expect(
      wait { if case .peer(let peer)? = self.locate("kitchen-hub", one) { peer.address == address } else { false } })
    #expect(one.knows(["Kitchen_Hub"]))
    // No device has these; the second time the relay's former answer counts.
    for label in ["nobody", "nobody", "No Label"] { #expect(self.locate(label, one) == .nobody) }
    relay.stop()
    #expect(wait { one.status()?.isJoined == false })
    #expect(self.locate("nobody", one) == .unclear)
  }

  @Test func `a peer that leaves and comes back is reached again, from either side`() throws {
    let relay = try TestRelay(peerList: 0)
    defer { relay.stop() }
    let one = try joined("one", relay)
    var two = try joined("two", relay)
    defer { one.stop() }
    let (first, second) = (try #require(one.address()), try #require(two.address()))
    let there = datagram(from: first, to: second, [1])
    let back = datagram(from: second, to: first, [2])
    for isBackFirst in [false, true] {
      if isBackFirst {
        two.send(back)
        #expect(one.receive() == back)
      }
      one.send(there)
      #expect(two.receive() == there)
      two.send(back)
      #expect(one.receive() == back)
      two.stop()
      #expect(one.knows([]))
      two = try TestDevice("two", relay: relay.address)
      #expect(two.address() == second)
    }
    two.stop()
  }

  @Test func `sessions go on when the relay is started again`() throws {
    let relay = try TestRelay(peerList: 0)
    let devices = try ["one", "two"].map { try joined($0, relay) }
    defer { for device in devices { device.stop() } }
    let addresses = try devices.map { try #require($0.address()) }
    let packet = datagram(from: addresses[0], to: addresses[1], [1])
    devices[0].send(packet)
    #expect(devices[1].receive() == packet)
    let sessions = devices[0].status()?.counters.links.initiations
    relay.stop()
    let next = try TestRelay(port: relay.address.port, peerList: 0)
    defer { next.stop() }
    for device in devices { #expect(device.address(afterJoins: 2) != nil) }
    // The receiver of the first packet may have to ask the relay who sent it.
    #expect(
      wait {
        devices[0].send(packet)
        return devices[1].interface.takeWritten(within: .milliseconds(200)) != nil
      })
    #expect(devices[0].status()?.counters.links.initiations == sessions)
  }
}
