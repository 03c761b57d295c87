import Names
import Testing
import Wire

@Suite struct ZoneTests {
  private func answer(_ name: String, _ type: DNSType = .a, in zone: Zone = zone()) -> DNSResponse {
    switch zone.answer(query(name, type)) {
    case .response(let response), .unknown(_, let response): response
    }
  }

  private func data(_ name: String, _ type: DNSType) -> [[UInt8]] { answer(name, type).answers.map(\.data) }

  @Test func `names have addresses of both kinds, whatever their case`() {
    #expect(data("cam.mnedc", .a) == [[10, 0, 0, 3]] && data("OWN-hub.MNEDC", .a) == [[10, 0, 0, 2]])
    #expect(data("cam.mnedc", .aaaa) == [[0xFD, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 10, 0, 0, 3]])
    #expect(answer("cam.mnedc", .any).answers.map(\.type) == [.a, .aaaa])
    #expect(answer("cam.mnedc").isAuthoritative)
    var without = zone()
    without.pool6 = nil
    #expect(answer("cam.mnedc", .aaaa, in: without).answers == [])
  }

  @Test func `one of several networks has a domain of its own below the common one`() {
    var shop = Zone(pool: IPv4Prefix("10.0.0.0/24")!, pool6: nil, domain: "shop.mnedc")
    shop.table.setOwn("own", IPv4Address("10.0.0.2")!)
    shop.table.add("cam", IPv4Address("10.0.0.3")!)
    #expect(answer("Cam.SHOP.mnedc", in: shop).answers.map(\.data) == [[10, 0, 0, 3]])
    #expect(answer("shop.mnedc", in: shop).code == .noError && answer("x.cam.shop.mnedc", in: shop).code == .noSuchName)
    #expect(shop.answer(query("cam.mnedc")) == .response(.refused))
    #expect(shop.answer(query("cam.home.mnedc")) == .response(.refused))
    #expect(shop.domains == ["shop.mnedc", "0.0.10.in-addr.arpa"])
    #expect(zone().answer(query("cam.shop.mnedc")) == .response(answer("nobody.cam.mnedc")))
    let name = DNSName("cam.shop.mnedc").labels.reduce(into: [UInt8]()) { $0 += [UInt8($1.count)] + $1 } + [0]
    #expect(answer("3.0.0.10.in-addr.arpa", .ptr, in: shop).answers.map(\.data) == [name])
  }

  @Test func `addresses have names`() {
    let name = [3] + Array("cam".utf8) + [5] + Array("mnedc".utf8) + [0]
    #expect(data("3.0.0.10.in-addr.arpa", .ptr) == [name])
    let digits = "3.0.0.0.0.0.a.0.0.0.0.0.0.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f"
    #expect(data("\(digits).ip6.arpa", .ptr) == [name] && data("\(digits.uppercased()).IP6.ARPA", .ptr) == [name])
  }

  @Test(arguments: [
    ("cam.mnedc", DNSType(rawValue: 15), DNSCode.noError), ("mnedc", .a, .noError), ("nobody.mnedc", .a, .noSuchName),
    ("a.cam.mnedc", .a, .noSuchName), ("own.hub.mnedc", .a, .noSuchName), ("3.0.0.10.in-addr.arpa", .a, .noError),
    ("9.0.0.10.in-addr.arpa", .ptr, .noSuchName), ("0.0.10.in-addr.arpa", .ptr, .noError),
    ("1.3.0.0.10.in-addr.arpa", .ptr, .noSuchName),
  ])
  func `what there is not has the domain's SOA record with it`(name: String, type: DNSType, code: DNSCode) {
    let response = answer(name, type)
    #expect(response.code == code && response.answers == [] && response.isAuthoritative)
    #expect(response.authority.map(\.type) == [.soa] && response.authority.map(\.ttl) == [Zone.ttl])
    let top = response.authority.first?.name.lowercased.joined(separator: ".")
    #expect(top == (name.hasSuffix("arpa") ? "0.0.10.in-addr.arpa" : "mnedc"))
  }

  @Test(arguments: [
    "", "com", "example.com", "mnedc.com", "xmnedc", "arpa", "in-addr.arpa", "10.in-addr.arpa", "0.10.in-addr.arpa",
    "3.1.0.10.in-addr.arpa", "3.0.0.010.in-addr.arpa", "3.0.0.256.in-addr.arpa", "x.0.0.10.in-addr.arpa", "ip6.arpa",
    "1.d.f.ip6.arpa", "10.0.0.3",
  ])
  func `what is not of this network is refused`(name: String) {
    #expect(answer(name, .ptr) == .refused)
  }

  @Test func `other classes and copies of the domain are refused`() {
    #expect(zone().answer(query("cam.mnedc", classCode: 3)) == .response(.refused))
    #expect(answer("mnedc", .axfr) == .refused && answer("mnedc", .ixfr) == .refused)
    #expect(answer("mnedc", .soa).answers.count == 1 && answer("mnedc", .ns).answers.count == 1)
    #expect(answer("0.0.10.in-addr.arpa", .soa).answers.count == 1)
  }

  @Test func `of a label that could be a device's, the relay may be asked`() {
    guard case .unknown("other", _) = zone().answer(query("Other.mnedc")) else {
      Issue.record("it is answered")
      return
    }
    for name in ["a_b.mnedc", "a b.mnedc", "ä.mnedc"] {
      guard case .response = zone().answer(query(name)) else {
        Issue.record("\(name) is looked for")
        continue
      }
    }
  }

  @Test func `a network that does not end at a digit answers for each address`() {
    var zone = zone()
    zone.pool = IPv4Prefix("10.0.0.0/22")!
    #expect(answer("3.0.0.10.in-addr.arpa", .ptr, in: zone).answers.count == 1)
    #expect(answer("3.4.0.10.in-addr.arpa", .ptr, in: zone) == .refused)
    #expect(zone.domains == ["mnedc", "0.0.0.0.0.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"])
    #expect(Zone(pool: IPv4Prefix("10.1.2.0/24")!, pool6: nil).domains == ["mnedc", "2.1.10.in-addr.arpa"])
  }

  // MARK: The table

  private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 0x0A00_0000 | last) }

  @Test func `of two with one label, one has the name until it has left`() {
    var table = NameTable()
    table.add("a.b", address(3))
    table.add("a-b", address(4))
    #expect(table.address(of: "a-b") == address(3) && table.label(of: address(4)) == "a-b")
    table.remove(address(3))
    #expect(table.address(of: "a-b") == address(4))
    table.setOwn("A_B", address(2))
    #expect(table.address(of: "a-b") == address(2))
    table.setOwn("c", address(2))
    #expect(table.address(of: "a-b") == address(4) && table.address(of: "c") == address(2))
    table.remove(address(4))
    table.remove(address(4))
    #expect(table.address(of: "a-b") == nil && table.entries.map(\.label) == ["c"])
  }

  @Test func `an address that changes hands has its new name alone`() {
    var table = NameTable()
    table.add("a", address(3))
    table.add("b", address(3))
    #expect(table.address(of: "a") == nil && table.address(of: "b") == address(3))
    table.setOwn("me", address(3))
    #expect(table.entries.map(\.label) == ["me"])
    table.add("b", address(3))
    #expect(table.entries.map(\.label) == ["me"])
  }

  @Test func `no more names are kept than a device knows peers`() {
    var table = NameTable()
    for number in 0..<UInt32(NameTable.maximumNames + 5) { table.add("d\(number)", address(number)) }
    #expect(table.entries.count == NameTable.maximumNames)
  }
}
