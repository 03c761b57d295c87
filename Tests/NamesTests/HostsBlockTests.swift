import Names
import Testing
import Wire

@Suite struct HostsBlockTests {
  private static let owner = "process 1 started 2 in 3"

  /// The file with a block of this owner; without, if `zone` is `nil`. Blocks of the owner `gone` are stale.
  private func change(
    _ file: String, _ zone: Zone?, for interface: String = "mnedc0", owner: String = Self.owner
  ) -> String {
    let block = HostsBlock(interface: interface, owner: owner)
    let bytes = block.replaced(in: Array(file.utf8), by: zone.map { block.lines($0) }) { $0.owner == "gone" }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func block(_ interface: String = "mnedc0", owner: String = Self.owner) -> String {
    """
    # BEGIN mnedc \(interface)\(owner.isEmpty ? "" : " ")\(owner)
    10.0.0.2\town-hub.mnedc
    fd00:1:2:3::a00:2\town-hub.mnedc
    10.0.0.3\tcam.mnedc
    fd00:1:2:3::a00:3\tcam.mnedc
    # END mnedc \(interface)

    """
  }

  @Test(arguments: ["", "127.0.0.1 localhost\n", "a\r\n\n# BEGIN mnedc\n", "# BEGIN mnedc mnedc01\nx\n"])
  func `the block comes behind what is there, and goes without a trace`(file: String) {
    let with = change(file, zone())
    #expect(with == file + Self.block())
    #expect(change(with, zone()) == with && change(with, nil) == file)
    #expect(change(file, nil) == file)
  }

  @Test func `what others write around it stays where it is`() {
    let file = "before\n" + Self.block() + "behind without an end"
    #expect(change(file, nil) == "before\nbehind without an end")
    var other = zone()
    other.table.remove(IPv4Address("10.0.0.3")!)
    let changed = change(file, other)
    #expect(changed.hasPrefix("before\n# BEGIN") && changed.hasSuffix("# END mnedc mnedc0\nbehind without an end"))
    #expect(!changed.contains("cam"))
    #expect(change("no end", zone()) == "no end\n" + Self.block())
  }

  @Test func `several networks have a block each`() {
    let both = change(change("", zone()), zone(), for: "mnedc1")
    #expect(both == Self.block() + Self.block("mnedc1"))
    #expect(change(both, nil, for: "mnedc1") == Self.block())
    #expect(change(both, nil) == Self.block("mnedc1"))
  }

  @Test func `of one interface in two network namespaces, each daemon keeps its own block`() {
    let both = change(change("", zone()), zone(), owner: "another")
    #expect(both == Self.block() + Self.block(owner: "another"))
    #expect(change(both, nil, owner: "another") == Self.block())
  }

  @Test func `a block whose daemon is gone goes with any change, and its own interface's takes its place`() {
    let stale = "before\n" + Self.block("mnedc7", owner: "gone") + "between\n" + Self.block(owner: "gone") + "behind\n"
    #expect(change(stale, nil) == "before\nbetween\nbehind\n")
    #expect(change(stale, nil, for: "other") == "before\nbetween\nbehind\n")
    #expect(change(stale, zone()) == "before\nbetween\n" + Self.block() + "behind\n")
  }

  @Test func `a block that another program has doubled is one again`() {
    #expect(change(Self.block() + "x\n" + Self.block(), zone()) == Self.block() + "x\n")
  }

  @Test func `of a block without its end, only lines of its kind are taken away`() {
    let begin = "# BEGIN mnedc mnedc0 \(Self.owner)\n"
    let half = "a\n\(begin)10.0.0.3\tcam.mnedc\n192.0.2.1 mine\n10.0.0.9\tb.mnedc\n"
    #expect(change(half, nil) == "a\n192.0.2.1 mine\n10.0.0.9\tb.mnedc\n")
    #expect(change(String(begin.dropLast()), nil) == "")
    #expect(change("\(begin)10.0.0.3\tcam.mnedc\n" + Self.block("mnedc1"), nil) == Self.block("mnedc1"))
  }

  @Test func `a block is found as it is, whoever has changed it`() {
    let block = HostsBlock(interface: "mnedc0", owner: Self.owner)
    let file = Array(("a\n" + Self.block() + "b\n").utf8)
    #expect(block.found(in: file) == Array(Self.block().utf8))
    #expect(block.found(in: Array("a\n".utf8)) == nil)
    #expect(HostsBlock(interface: "mnedc0", owner: "").found(in: file) == nil)
  }
}
