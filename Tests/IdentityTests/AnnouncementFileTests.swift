import Glibc
import Identity
import SystemIO
import TestSupport
import Testing
import Wire

@Suite struct AnnouncementFileTests {
  private let some = Announcement(services: [.init(name: "detector", port: 80)], labels: ["zone": "hall"])

  @Test func `what was announced is there at the next start, for nobody else`() throws {
    let temporary = TemporaryDirectory()
    let file = AnnouncementFile(in: try StateDirectory(temporary.path))
    #expect(try file.load() == Announcement())
    try file.save(some)
    #expect(try AnnouncementFile(in: StateDirectory(temporary.path)).load() == some)
    #expect(mode(temporary.file("device.announced")) == 0o600)
    try file.save(Announcement())
    #expect(content(of: temporary.file("device.announced")) == nil)
    try file.save(Announcement())
  }

  @Test(arguments: ["", "garbage", "{\"labels\":{}", "{}\n"])
  func `a damaged file is an error that says what to do`(text: String) throws {
    let temporary = TemporaryDirectory()
    let file = AnnouncementFile(in: try StateDirectory(temporary.path))
    put(text, at: temporary.file("device.announced"))
    let error = refusal { () throws(StateError) in try file.load() }
    #expect(error?.kind == .damaged)
    #expect(error?.description.contains("device.announced holds no announcement") == true)
  }

  @Test func `an endless file is not read`() throws {
    let temporary = TemporaryDirectory()
    let file = AnnouncementFile(in: try StateDirectory(temporary.path))
    put(String(repeating: " ", count: 100_000), at: temporary.file("device.announced"))
    #expect(refusal { () throws(StateError) in try file.load() }?.description.contains("is larger than") == true)
  }

  @Test func `a file that cannot be used is put aside, and nothing is announced`() throws {
    let temporary = TemporaryDirectory()
    let file = AnnouncementFile(in: try StateDirectory(temporary.path))
    let whole = String(decoding: some.encoded(), as: UTF8.self)
    for (text, mode) in [("garbage", 0o600), (whole, 0o666)] as [(String, mode_t)] {
      put(text, at: temporary.file("device.announced"), mode: mode)
      var warnings: [String] = []
      #expect(file.loadOrSetAside { warnings.append($0) } == Announcement())
      #expect(warnings.count == 1 && warnings[0].contains("device.announced.damaged now"))
      #expect(content(of: temporary.file("device.announced")) == nil)
      #expect(content(of: temporary.file("device.announced.damaged")) == text)
    }
    try file.save(some)
    #expect(file.loadOrSetAside { Issue.record("\($0)") } == some)
  }

  @Test func `each start has a higher number`() throws {
    let temporary = TemporaryDirectory()
    for number in 1...3 {
      #expect(try StartCounter(in: StateDirectory(temporary.path)).count { Issue.record("\($0)") } == number)
    }
    #expect(content(of: temporary.file("device.starts")) == "3\n")
  }

  @Test(arguments: ["", "\n", "x\n", "-1\n", "1", "1\n2\n", " 1\n", "99999999999999999999\n", "268435457\n"])
  func `a number of starts that is none is put aside, and the next ones are higher`(text: String) throws {
    let temporary = TemporaryDirectory()
    let counter = StartCounter(in: try StateDirectory(temporary.path))
    put(text, at: temporary.file("device.starts"))
    var warnings: [String] = []
    let first = counter.count { warnings.append($0) }
    #expect(warnings.count == 1 && warnings[0].contains("device.starts holds no number of starts"))
    #expect(warnings.first?.contains("device.starts.damaged now") == true)
    #expect(first > 25_000_000 && StartCounter.range.contains(first))
    #expect(content(of: temporary.file("device.starts.damaged")) == text)
    #expect(counter.count { Issue.record("\($0)") } == first + 1)
  }

  @Test func `a counter that is missing on a device that has joined goes on above what peers know`() throws {
    let temporary = TemporaryDirectory()
    let counter = StartCounter(in: try StateDirectory(temporary.path))
    put("cam\n", at: temporary.file("device-id"))
    var warnings: [String] = []
    #expect(counter.count { warnings.append($0) } > 25_000_000)
    #expect(warnings.count == 1 && warnings[0].contains("device.starts is missing"))
  }
}
