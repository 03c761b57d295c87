import SystemIO
import SystemPackage
import TestSupport
import Testing
import Tun
import Wire

@testable import Device

@Suite struct RestorationPaceTests {
  private let start = Instant(nanoseconds: 1_000_000_000_000)

  @Test func `changes now and then are undone at once, however many`() {
    var pace = RestorationPace()
    for number in 0..<100 {
      let now = start.advanced(by: .seconds(31 * number))
      #expect(pace.wait(at: now) == .zero)
      let isBeginning = pace.add(at: now)
      #expect(!isBeginning && !pace.isContested && pace.count == 1)
    }
  }

  @Test func `changes in a row are undone after pauses that grow to the longest, and begin anew once they end`() {
    var pace = RestorationPace()
    var now = start
    for number in 1..<RestorationPace.burst {
      let isBeginning = pace.add(at: now)
      #expect(!isBeginning && pace.count == number && pace.wait(at: now) == .zero)
      now = now.advanced(by: .seconds(1))
    }
    var isBeginning = pace.add(at: now)
    #expect(isBeginning && pace.isContested)
    var pauses: [Duration] = []
    for _ in 0..<8 {
      let wait = pace.wait(at: now)
      pauses.append(wait)
      #expect(pace.wait(at: now.advanced(by: .seconds(1))) == wait - .seconds(1))
      now = now.advanced(by: wait)
      isBeginning = pace.add(at: now)
      #expect(!isBeginning)
    }
    #expect(pauses == [2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
    #expect(pace.calmAt == now.advanced(by: .seconds(120)))
    now = now.advanced(by: .seconds(120))
    #expect(pace.wait(at: now) == .zero)
    isBeginning = pace.add(at: now)
    #expect(!isBeginning && !pace.isContested && pace.count == 1)
  }
}

@Suite struct InterfaceKeeperTests {
  /// A keeper of an interface in memory, and what it reports.
  private final class Kept {
    let interface: MemoryPacketDevice
    let loop: EventLoop
    var news: [InterfaceKeeper.News] = []
    lazy var keeper = InterfaceKeeper(interface, on: loop) { [unowned self] in
      // Each look reports about the IPv6 address.
      if $0 != .missingIPv6(nil) { news.append($0) }
    }

    init() throws {
      interface = try MemoryPacketDevice(name: "mnedc0")
      loop = try EventLoop()
      try interface.configure(
        address: #require(IPv4Address("10.0.0.2")), in: #require(IPv4Prefix("10.0.0.0/24")),
        and: IPv6Prefix("fd00::/96"), mtu: 1400)
    }

    func run(for time: Duration) {
      loop.schedule(after: time) { [loop] in loop.stop() }
      loop.run()
    }
  }

  @Test func `nothing is said of an interface that is as it should be`() throws {
    let kept = try Kept()
    kept.keeper.check()
    kept.keeper.checkNow()
    #expect(kept.news.isEmpty && kept.keeper.problem == nil)
  }

  @Test func `each of a few changes is said with what it was`() throws {
    let kept = try Kept()
    let changes: [[InterfaceRepair.Difference]] = [[.down], [.mtu(1200), .address("fd00::2/96")], [.down]]
    for change in changes {
      kept.interface.disturb(change)
      kept.keeper.check()
    }
    #expect(kept.news == changes.map { .restored($0) })
    #expect(kept.keeper.problem == nil)
  }

  @Test func `a program that goes on is said once, and waited for; a reload begins anew`() throws {
    let kept = try Kept()
    for _ in 0..<RestorationPace.burst {
      kept.interface.disturb([.down])
      kept.keeper.check()
    }
    let once = Array(repeating: InterfaceKeeper.News.restored([.down]), count: RestorationPace.burst - 1)
    #expect(kept.news == once + [.contested(RestorationPace.burst, [.down])])
    #expect(kept.keeper.problem == .contested(RestorationPace.burst, pause: .seconds(2)))
    kept.interface.disturb([.down])
    for _ in 0..<50 { kept.keeper.check() }
    #expect(kept.news.count == RestorationPace.burst, "it waits")
    kept.run(for: RestorationPace.shortestPause + .milliseconds(500))
    let present = try kept.interface.restore()
    #expect(present.differences.isEmpty, "it was restored")
    #expect(kept.news.count == RestorationPace.burst, "without a further line")
    #expect(kept.keeper.problem == .contested(RestorationPace.burst + 1, pause: .seconds(4)))
    kept.interface.disturb([.mtu(9000)])
    kept.keeper.checkNow()
    #expect(kept.news.last == .restored([.mtu(9000)]) && kept.keeper.problem == nil)
  }

  @Test func `an interface whose routes the kernel is still making is looked at again`() throws {
    let kept = try Kept()
    kept.interface.settle(into: [.route(.ipv4(try #require(IPv4Prefix("10.0.0.0/24"))))])
    kept.keeper.check()
    #expect(kept.news.isEmpty && kept.keeper.problem == nil, "nobody has changed it")
    kept.run(for: .seconds(1))
    #expect(kept.news.count == 1, "what is missing later is restored")
  }

  @Test func `what the kernel refuses is tried again, and said once if it is refused again`() throws {
    let kept = try Kept()
    let refusal = TunError.failed(step: "restoring", .notPermitted, detail: nil)
    kept.interface.disturb([.down])
    kept.interface.refuseToRestore(refusal)
    kept.keeper.check()
    kept.keeper.check()
    #expect(kept.news.isEmpty && kept.keeper.problem == nil)
    kept.loop.schedule(after: .seconds(1)) {
      #expect(kept.news == [.failed(refusal)] && kept.keeper.problem == .failed(refusal))
      kept.interface.refuseToRestore(nil)
    }
    kept.run(for: RestorationPace.shortestPause + .seconds(1))
    #expect(kept.news == [.failed(refusal), .restored([.down])] && kept.keeper.problem == nil)
  }

  @Test func `what the kernel refuses does not count as a change by another program`() throws {
    let kept = try Kept()
    // With the two failures, these would be enough for pauses.
    for _ in 0..<RestorationPace.burst - 2 {
      kept.interface.disturb([.down])
      kept.keeper.check()
    }
    let refusal = TunError.failed(step: "restoring", .notPermitted, detail: nil)
    kept.interface.disturb([.mtu(9000)])
    kept.interface.refuseToRestore(refusal)
    kept.keeper.check()
    kept.loop.schedule(after: .seconds(1)) { kept.interface.refuseToRestore(nil) }
    kept.run(for: RestorationPace.shortestPause + .seconds(1))
    #expect(kept.news.suffix(2) == [.failed(refusal), .restored([.mtu(9000)])] && kept.keeper.problem == nil)
  }

  @Test func `another name and a lost IPv6 address are told`() throws {
    let kept = try Kept()
    kept.interface.rename(to: "other0")
    kept.interface.disableIPv6(.refused("off"))
    kept.keeper.check()
    #expect(kept.news == [.renamed(from: "mnedc0"), .missingIPv6(.refused("off"))])
  }
}

@Suite struct DeviceInterfaceTests {
  private func lines(_ device: TestDevice) -> [String] {
    device.events.items.compactMap { event in
      switch event {
      case .notice(let line), .warning(let line): line
      default: nil
      }
    }
  }

  @Test func `a reload restores the interface, and a change of it shows`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let device = try TestDevice("one", relay: relay.address)
    defer { device.stop() }
    #expect(device.address() != nil)
    device.interface.disturb([.down, .mtu(1200)])
    device.interface.rename(to: "other0")
    device.device.apply { _ in }
    #expect(wait { device.status()?.interface == "other0" })
    #expect(
      lines(device) == [
        "the interface memory is called other0 now",
        "another program has changed other0 (the interface was down, its MTU was 1200); it is restored",
      ])
    #expect(device.status()?.interfaceProblem == nil)
    device.interface.refuseToRestore(.failed(step: "restoring", .notPermitted, detail: nil))
    device.device.apply { _ in }
    #expect(wait { device.status()?.interfaceProblem?.contains("restoring") == true })
  }

  @Test func `IPv6 that goes and comes back changes this device's address, and is said`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let device = try TestDevice("one", relay: relay.address)
    defer { device.stop() }
    #expect(device.address() != nil)
    let address6 = try #require(device.status()?.address6)
    device.interface.disableIPv6(.refused("off"))
    device.device.apply { _ in }
    #expect(wait { device.status().map { $0.address6 == nil } == true })
    #expect(lines(device).count == 1 && lines(device)[0].contains("no IPv6 address"))
    device.interface.disableIPv6(nil)
    device.device.apply { _ in }
    #expect(wait { device.status()?.address6 == address6 })
    let changes = device.events.items.filter { if case .interfaceChanged("memory") = $0 { true } else { false } }
    #expect(changes.count == 2)
  }

  @Test func `the addresses are taken away at the end`() throws {
    let relay = try TestRelay()
    defer { relay.stop() }
    let device = try TestDevice("one", relay: relay.address)
    #expect(device.address() != nil && device.interface.configuration != nil)
    device.stop()
    #expect(device.interface.configuration == nil)
  }
}
