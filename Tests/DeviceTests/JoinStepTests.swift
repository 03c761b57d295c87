import Device
import TestSupport
import Testing
import Wire

/// The steps of joining that a device reports.
@Suite struct JoinStepTests {
  private func names(_ device: TestDevice) -> [String] {
    device.steps.items.map { step in
      switch step {
      case .lookingUp(let host): "look up \(host)"
      case .connecting(let address): "connect to \(address)"
      case .greeting: "greet"
      case .asking: "ask"
      case .admitted: "admitted"
      case .address(let address, let pool): "\(address) in \(pool)"
      case .interface(let name): name
      case .echo: "echo"
      }
    }
  }

  @Test func `every step is told once, in order, and again in the next attempt`() throws {
    let relay = try TestRelay()
    let device = try TestDevice("one", relay: relay.address)
    defer { device.stop() }
    let way = [
      "look up 127.0.0.1", "connect to \(relay.address)", "greet", "ask", "admitted", "10.0.0.2 in 10.0.0.0/24",
      "memory", "echo",
    ]
    #expect(wait { names(device).count == way.count })
    #expect(names(device) == way)
    relay.stop()
    let next = try TestRelay(inPlaceOf: relay)
    defer { next.stop() }
    #expect(wait { names(device).count(where: { $0 == "echo" }) == 2 })
    #expect(names(device).suffix(way.count) == way[...])
  }
}
