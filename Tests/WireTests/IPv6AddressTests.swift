import Testing
import Wire

struct IPv6AddressTests {
  @Test(arguments: [
    ("::", "::"), ("::1", "::1"), ("fd00::", "fd00::"), ("FD00:0:0:0:1:0:0:2", "fd00::1:0:0:2"),
    ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
    ("fd12:3456:789a:bcde::a00:7", "fd12:3456:789a:bcde::a00:7"),
  ])
  func `an address is read and written as RFC 5952 has it`(text: String, canonical: String) throws {
    let address = try #require(IPv6Address(text))
    #expect(address.description == canonical)
    #expect(IPv6Address(canonical) == address)
  }

  @Test(arguments: [
    "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "+1::", "1:", ":1",
    "1:2:3:4:5:6:7:8::", "::1%lo", "::1.2.3.4", " ::1", "1::2:3:4:5:6:7:8",
  ])
  func `what is no address is none`(text: String) {
    #expect(IPv6Address(text) == nil)
  }

  @Test func `a prefix has no bits behind it`() throws {
    let prefix = try #require(IPv6Prefix("fd00:1:2:3::/96"))
    #expect(prefix.description == "fd00:1:2:3::/96")
    #expect(IPv6Prefix("fd00:1:2:3::1/96") == nil)
    #expect(IPv6Prefix("fd00::/129") == nil && IPv6Prefix("fd00::") == nil && IPv6Prefix("::/0") != nil)
    #expect(try prefix.contains(#require(IPv6Address("fd00:1:2:3::ffff:ffff"))))
    #expect(try !prefix.contains(#require(IPv6Address("fd00:1:2:3:0:1::"))))
    #expect(try #require(IPv6Prefix("::/0")).contains(prefix.network))
  }

  @Test func `a pool has an address for every lease`() throws {
    let pool = try #require(IPv6Prefix("fd00:1:2:3::/96"))
    let lease = try #require(IPv4Address("10.0.0.7"))
    #expect(pool.isPool)
    #expect(pool.address(of: lease).description == "fd00:1:2:3::a00:7")
    #expect(pool.lease(of: pool.address(of: lease)) == lease)
    #expect(try pool.lease(of: #require(IPv6Address("fd00:1:2:4::a00:7"))) == nil)
    for other in ["fd00::/64", "fc00::/96", "2001:db8::/96"] { #expect(IPv6Prefix(other)?.isPool == false) }
  }

  @Test(arguments: [
    ("fd00::/8", "fd00:1::/32", true), ("fd00:1::/32", "fd00::/8", true), ("fd00::/96", "fd00::/96", true),
    ("fd00::/96", "fd00:0:0:0:0:1::/96", false), ("::/0", "fd00::/96", true), ("fc00::/7", "fe80::/10", false),
  ])
  func `prefixes overlap if one contains the other`(one: String, other: String, overlaps: Bool) throws {
    let (one, other) = (try #require(IPv6Prefix(one)), try #require(IPv6Prefix(other)))
    #expect(one.overlaps(other) == overlaps && other.overlaps(one) == overlaps)
  }

  @Test(arguments: [
    ("fd00::1", true), ("fc00::1", true), ("fe80::1", true), ("febf::1", true), ("fec0::1", false),
    ("2001:db8::1", false),
    ("::1", false),
  ])
  func `private addresses are known`(text: String, isPrivate: Bool) throws {
    #expect(try #require(IPv6Address(text)).isPrivate == isPrivate)
  }
}
