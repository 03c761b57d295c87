import Names
import Testing
import Wire

@Suite struct HostsBlockTests {
  private func change(_ file: String, _ zone: Zone?, for interface: String = "mnedc0") -> String {
    String(decoding: HostsBlock.replacing(in: Array(file.utf8), for: interface, with: zone), as: UTF8.self)
  }

  private static let block = """
    # BEGIN mnedc mnedc0
    10.0.0.2\town-hub.mnedc
    fd00:1:2:3::a00:2\town-hub.mnedc
    10.0.0.3\tcam.mnedc
    fd00:1:2:3::a00:3\tcam.mnedc
    # END mnedc mnedc0

    """

  @Test(arguments: ["", "127.0.0.1 localhost\n", "a\r\n\n# BEGIN mnedc\n", "# BEGIN mnedc mnedc01\nx\n"])
  func `the block comes behind what is there, and goes without a trace`(file: String) {
    let with = change(file, zone())
    #expect(with == file + Self.block)
    #expect(change(with, zone()) == with && change(with, nil) == file)
    #expect(change(file, nil) == file)
  }

  @Test func `what others write around it stays where it is`() {
    let file = "before\n" + Self.block + "behind without an end"
    #expect(change(file, nil) == "before\nbehind without an end")
    var other = zone()
    other.table.remove(IPv4Address("10.0.0.3")!)
    let changed = change(file, other)
    #expect(changed.hasPrefix("before\n# BEGIN") && changed.hasSuffix("# END mnedc mnedc0\nbehind without an end"))
    #expect(!changed.contains("cam"))
    #expect(change("no end", zone()) == "no end\n" + Self.block)
  }

  @Test func `several networks have a block each`() {
    let both = change(change("", zone()), zone(), for: "mnedc1")
    #expect(both.hasPrefix(Self.block) && both.contains("# BEGIN mnedc mnedc1\n"))
    #expect(change(both, nil, for: "mnedc1") == Self.block)
    #expect(!change(both, nil).contains("mnedc0"))
  }

  @Test func `of a block without its end, only lines of its kind are taken away`() {
    let half = "a\n# BEGIN mnedc mnedc0\n10.0.0.3\tcam.mnedc\n192.0.2.1 mine\n10.0.0.9\tb.mnedc\n"
    #expect(change(half, nil) == "a\n192.0.2.1 mine\n10.0.0.9\tb.mnedc\n")
    #expect(change("# BEGIN mnedc mnedc0", nil) == "")
  }
}
