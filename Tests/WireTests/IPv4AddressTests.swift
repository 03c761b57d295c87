import Testing
import Wire

@Suite struct IPv4AddressTests {
  @Test(arguments: ["0.0.0.0", "10.0.0.1", "255.255.255.255"])
  func `an address reads back as it was written`(text: String) throws {
    #expect(try #require(IPv4Address(text)).description == text)
  }

  @Test(arguments: [
    "", "10", "10.0.0", "10.0.0.256", "10.0.0.01", "10.0.0.1.", "a.b.c.d", "10.0.0.-1", "10.0.0.1 ", "١.0.0.1",
  ])
  func `what is not an address is refused`(text: String) {
    #expect(IPv4Address(text) == nil)
  }

  @Test func `a prefix knows its bounds`() throws {
    let prefix = try #require(IPv4Prefix("10.0.0.0/24"))
    #expect(prefix.broadcast == IPv4Address("10.0.0.255"))
    #expect(prefix.count == 256)
    #expect(prefix.contains(try #require(IPv4Address("10.0.0.77"))))
    #expect(!prefix.contains(try #require(IPv4Address("10.0.1.0"))))
  }

  @Test(arguments: ["10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0", "/24", "10.0.0.0/+8", "10.0.0.0/24/1"])
  func `what is not a prefix is refused`(text: String) {
    #expect(IPv4Prefix(text) == nil)
  }

  @Test func `the whole address space is a prefix too`() throws {
    let all = try #require(IPv4Prefix("0.0.0.0/0"))
    #expect(all.contains(.limitedBroadcast))
    #expect(all.broadcast == .limitedBroadcast)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.0.7.0/24", true), ("10.0.7.0/24", "10.0.0.0/8", true), ("10.0.0.0/24", "10.0.1.0/24", false),
    ("0.0.0.0/0", "10.0.0.0/24", true), ("10.0.0.0/31", "10.0.0.1/32", true),
  ])
  func `prefixes overlap if one contains the other`(one: String, other: String, overlaps: Bool) throws {
    let (one, other) = (try #require(IPv4Prefix(one)), try #require(IPv4Prefix(other)))
    #expect(one.overlaps(other) == overlaps && other.overlaps(one) == overlaps)
  }

  @Test(arguments: [
    ("10.1.2.3", true), ("172.16.0.1", true), ("172.31.255.255", true), ("172.32.0.1", false), ("192.168.1.1", true),
    ("100.64.0.1", true), ("100.128.0.1", false), ("169.254.1.1", true), ("192.0.2.1", false), ("8.8.8.8", false),
  ])
  func `private addresses are known`(text: String, isPrivate: Bool) throws {
    #expect(try #require(IPv4Address(text)).isPrivate == isPrivate)
  }
}

@Suite struct PoolObjectionTests {
  @Test(
    arguments: [
      ("10.0.0.0/8", nil), ("172.16.0.0/12", nil), ("100.64.1.0/24", nil), ("198.18.0.0/15", nil),
      ("8.8.8.0/24", "has addresses of the Internet"), ("172.0.0.0/8", "has addresses of the Internet"),
      ("169.254.3.0/24", "is reserved for link-local addresses"), ("192.0.2.0/24", "is reserved for documentation"),
      ("127.0.0.0/16", "is reserved for loopback addresses"), ("240.1.0.0/24", "is reserved for other purposes"),
      ("192.0.0.0/8", "has addresses of the Internet"),
    ] as [(String, String?)])
  func `a pool that is not private is of the Internet or reserved`(prefix: String, objection: String?) throws {
    let pool = try #require(IPv4Prefix(prefix))
    #expect(pool.objectionAsPool == objection && pool.isPrivate == (objection == nil))
  }
}
