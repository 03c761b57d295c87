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

  @Test func `each start has a higher number`() throws {
    let temporary = TemporaryDirectory()
    for number in 1...3 { #expect(try StartCounter(in: StateDirectory(temporary.path)).next() == number) }
    #expect(content(of: temporary.file("device.starts")) == "3\n")
    #expect(try StartCounter(in: StateDirectory(temporary.path)).peek() == 4)
    #expect(content(of: temporary.file("device.starts")) == "3\n")
  }

  @Test(arguments: ["", "\n", "x\n", "-1\n", "1", "1\n2\n", " 1\n", "99999999999999999999\n", "268435457\n"])
  func `a number of starts that is none is an error that says what to do`(text: String) throws {
    let temporary = TemporaryDirectory()
    let counter = StartCounter(in: try StateDirectory(temporary.path))
    put(text, at: temporary.file("device.starts"))
    let error = refusal { () throws(StateError) in try counter.next() }
    #expect(error?.kind == .damaged)
    #expect(error?.description.contains("device.starts holds no number of starts") == true)
    #expect(content(of: temporary.file("device.starts")) == text)
  }
}
