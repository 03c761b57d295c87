import Config
import Control
import Identity
import TestSupport
import Testing
import Wire

@testable import DeviceHost

@Suite struct OwnOrchestrationTests {
  private static func settings(_ text: String) throws -> Settings.Orchestration {
    try Settings.load(Array("join: {orchestration: {\(text)}}".utf8), file: "f").join.orchestration
  }

  private static let usual = "services: [detector, {name: cam, port: 554}], labels: {zone: hall}"

  private static func start(
    _ path: String, _ text: String = usual, warn: @escaping (String) -> Void = { _ in }
  ) throws -> OwnOrchestration {
    OwnOrchestration(in: try StateDirectory(path), deviceID: "d1", try settings(text), warn: warn)
  }

  /// What is told after an order, and the error if it was refused.
  @discardableResult
  private func announce(
    _ own: OwnOrchestration, isNew: Bool = true, _ change: (inout AnnounceOrder) -> Void
  ) -> ControlError? {
    var order = AnnounceOrder()
    change(&order)
    var told: Orchestration?
    let before = own.current
    switch own.answer(order, tell: { told = $0 }) {
    case .failed(let error):
      #expect(told == nil && own.current == before, "a refused order changes nothing")
      return error
    case .report, .done, .file:
      #expect(told == (isNew ? own.current : nil))
      #expect(own.current.revision == before.revision + (isNew ? 1 : 0))
      return nil
    }
  }

  @Test func `without an announcement, the configuration is told`() throws {
    let temporary = TemporaryDirectory()
    let own = try Self.start(temporary.path, "host-name: a.b, execution-type: native, services: [x], labels: {k: v}")
    let expected = Orchestration(
      deviceID: "d1", revision: 1 << 24, hostName: "a.b", platform: currentPlatform, executionType: "native",
      services: [.init(name: "x")], labels: ["k": "v"])
    #expect(own.current == expected)
    announce(own, isNew: false) { _ in }
  }

  @Test func `the host's name is told where the configuration has none`() throws {
    let temporary = TemporaryDirectory()
    #expect(try Self.start(temporary.path, "").current.problem == nil)
    #expect(OwnOrchestration.validHostName("cam.lan") == "cam.lan")
    #expect(OwnOrchestration.validHostName("my cam_.lan.") == "my-cam.lan")
    #expect(OwnOrchestration.validHostName("(none)") == nil)
    #expect(OwnOrchestration.validHostName("") == nil)
    #expect(OwnOrchestration.validHostName("\u{7}") == nil)
  }

  @Test func `an announcement is on top of the configuration, until it is taken back`() throws {
    let temporary = TemporaryDirectory()
    let own = try Self.start(temporary.path)
    announce(own) { $0.services = [.init(name: "cam", health: .down), .init(name: "new", version: "1")] }
    #expect(own.current.services.map(\.name) == ["detector", "cam", "new"])
    #expect(own.current.services[1] == .init(name: "cam", port: 554, health: .down))
    announce(own) { $0.services = [.init(name: "new", port: 7)] }
    #expect(own.current.services[2] == .init(name: "new", version: "1", port: 7))
    announce(own, isNew: false) { $0.services = [.init(name: "new")] }
    announce(own) { $0.withdrawnServices = ["cam", "new"] }
    #expect(own.current.services == [.init(name: "detector"), .init(name: "cam", port: 554)])
    announce(own) { $0.labels = ["zone": "yard", "gpu": "yes"] }
    #expect(own.current.labels == ["zone": "yard", "gpu": "yes"])
    announce(own) {
      $0.withdrawnLabels = ["zone"]
      $0.load = .number(0.5)
    }
    #expect(own.current.labels == ["zone": "hall", "gpu": "yes"] && own.current.load == 0.5)
    announce(own) { $0.load = .nothing }
    #expect(own.current.load == nil)
    announce(own) {
      $0.reset = true
      $0.services = [.init(name: "only")]
    }
    #expect(own.current.services.map(\.name) == ["detector", "cam", "only"] && own.current.labels == ["zone": "hall"])
  }

  @Test func `services and labels outlive the program, the load does not, and the revision rises`() throws {
    let temporary = TemporaryDirectory()
    let first = try Self.start(temporary.path)
    announce(first) {
      $0.services = [.init(name: "detector", health: .degraded)]
      $0.labels = ["gpu": "yes"]
      $0.load = .number(1)
    }
    #expect(first.current.revision == 1 << 24 + 1)
    let second = try Self.start(temporary.path)
    #expect(second.current.services == first.current.services && second.current.labels == first.current.labels)
    #expect(second.current.load == nil && second.current.revision == 2 << 24)
  }

  @Test func `a reload changes what is under the announcements`() throws {
    let temporary = TemporaryDirectory()
    let own = try Self.start(temporary.path)
    announce(own) { $0.services = [.init(name: "cam", health: .down)] }
    let settings = try Self.settings("services: [{name: cam, port: 555}], labels: {zone: yard}")
    let told = own.reload(settings)
    #expect(told?.services == [.init(name: "cam", port: 555, health: .down)] && told?.labels == ["zone": "yard"])
    #expect(told?.revision == 1 << 24 + 2)
    #expect(own.reload(settings) == nil)
  }

  @Test func `what cannot be told is refused with what to do, and nothing of the order is done`() throws {
    let temporary = TemporaryDirectory()
    let own = try Self.start(temporary.path)
    func error(_ change: (inout AnnounceOrder) -> Void) -> String { announce(own, change)?.text ?? "" }
    #expect(error { $0.withdrawnServices = ["cam"] }.contains("comes from the configuration; remove it there"))
    #expect(error { $0.withdrawnServices = ["x"] }.contains("no service x was announced"))
    #expect(error { $0.withdrawnServices = ["\u{1B}[1m"] }.contains("no service of that name was announced"))
    #expect(error { $0.withdrawnLabels = ["zone"] }.contains("--label zone=VALUE"))
    #expect(error { $0.withdrawnLabels = ["x"] }.contains("no label x was announced"))
    #expect(error { $0.services = [.init(name: "a b")] }.contains("a service's name is none"))
    #expect(error { $0.services = [.init(name: "a", port: 0)] }.contains("the port of a is none"))
    #expect(error { $0.services = [.init(name: "a"), .init(name: "a")] }.contains("a is named twice"))
    #expect(error { $0.labels = ["a": ""] }.contains("the label a has a value that is none"))
    #expect(error { $0.load = .number(1001) }.contains("its load is out of range"))
    #expect(error { $0.load = .number(.infinity) }.contains("its load is out of range"))
    #expect(error { $0.services = (0..<64).map { .init(name: "s\($0)") } }.contains("more than 64 services"))
    #expect(
      error { order in
        for number in 0..<63 { order.labels["l\(number)"] = String(repeating: "é", count: 127) }
      }.contains("bytes of JSON, of which there may be 16384; withdraw what is no longer needed"))
    #expect(
      error {
        $0.services = [.init(name: "fine")]
        $0.withdrawnLabels = ["x"]
      }.contains("no label x"))
    #expect(try Self.start(temporary.path).current.services == own.current.services)
  }

  @Test func `what has no room beside a new configuration is named, and can be taken back`() throws {
    let temporary = TemporaryDirectory()
    var warnings: [String] = []
    let own = try Self.start(temporary.path) { warnings.append($0) }
    announce(own) { $0.services = [.init(name: "a"), .init(name: "b")] }
    let many = (0..<63).map { "s\($0)" }.joined(separator: ", ")
    #expect(own.reload(try Self.settings("services: [\(many)]"))?.services.map(\.name).suffix(2) == ["s62", "a"])
    #expect(warnings.count == 1 && warnings[0].contains("peers are not told of b: take some of it back"))
    #expect(announce(own) { $0.labels = ["x": "y"] }?.text.contains("more than 64 services") == true)
    announce(own) { $0.withdrawnServices = ["a"] }
    #expect(own.current.services.last?.name == "b")
  }

  @Test func `a damaged state is put aside with a warning each, and revisions go on rising`() throws {
    let temporary = TemporaryDirectory()
    _ = try Self.start(temporary.path)
    let former = try Self.start(temporary.path)
    announce(former) { $0.labels = ["a": "b"] }
    let directory = try StateDirectory(temporary.path)
    for name in ["device.announced", "device.starts"] {
      try directory.update(name, limit: 1 << 16, .trusted) { _ in [1, 2, 3] }
    }
    var warnings: [String] = []
    let own = try Self.start(temporary.path) { warnings.append($0) }
    #expect(own.current.labels == ["zone": "hall"] && own.current.revision > former.current.revision)
    #expect(Orchestration.revisions.contains(own.current.revision))
    #expect(warnings.count == 2 && warnings[0].contains("device.starts.damaged now"))
    #expect(warnings.last?.contains("announce it anew (mnedc-ctl announce)") == true)
    #expect(try Self.start(temporary.path) { Issue.record("\($0)") }.current.revision > own.current.revision)
  }
}
