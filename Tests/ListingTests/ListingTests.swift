import Control
import Listing
import Testing
import Wire

@Suite struct ListingTests {
  private static func peer(
    _ number: Int, _ id: String, _ platform: String? = "linux/arm64", services: [Orchestration.Service] = [],
    labels: [String: String] = [:], load: Double? = nil, rtt: Double? = nil
  ) -> PeersReport.Peer {
    var peer = PeersReport.Peer(address: "10.0.0.\(number)", deviceId: id, state: .online)
    peer.path = "relay"
    peer.roundTripMs = rtt
    guard let platform else { return peer }
    peer.revision = 1
    (peer.platform, peer.services, peer.labels, peer.load) = (platform, services, labels, load)
    return peer
  }

  private static let report = PeersReport(
    network: "10.0.0.0/24", self: .init(address: "10.0.0.2", deviceId: "hub", state: .online), complete: true,
    peers: [
      peer(
        10, "ten", services: [.init(name: "detector", version: "1.2.3"), .init(name: "camera", health: .down)],
        labels: ["zone": "hall", "gpu": "yes"], load: 0.5, rtt: 3),
      peer(9, "nine", services: [.init(name: "detector", version: "12")], load: 0.25, rtt: 0.5),
      peer(8, "eight", "linux/amd64", services: [.init(name: "camera")], labels: ["zone": "yard"], rtt: 20),
      peer(7, "seven", nil),
    ])

  private func ids(_ change: (inout PeerList) -> Void) -> [String] {
    var list = PeerList()
    change(&list)
    return list.peers(of: Self.report).map(\.deviceId)
  }

  @Test(
    arguments: [
      ("detector", ["nine", "ten"]), ("detector:1", ["ten"]), ("detector:1.2", ["ten"]), ("detector:1.2.3", ["ten"]),
      ("detector:12", ["nine"]), ("detector:2", []), ("camera", ["eight"]), ("nothing", []),
    ] as [(String, [String])])
  func `a service is offered by those where it is up, in that version`(text: String, expected: [String]) throws {
    let query = try #require(ServiceQuery(text))
    #expect(ids { $0.filter.services = [query] } == expected)
  }

  @Test func `platforms, labels and states filter, and all that is said has to be true`() throws {
    #expect(ids { $0.filter.platforms = ["linux/amd64"] } == ["eight"])
    #expect(ids { $0.filter.platforms = ["linux"] } == ["eight", "nine", "ten"])
    #expect(ids { $0.filter.platforms = ["linux/"] } == [])
    #expect(ids { $0.filter.platforms = ["linux/arm64", "linux/amd64"] } == ["eight", "nine", "ten"])
    let (zone, hall) = (try #require(LabelQuery("zone")), try #require(LabelQuery("zone=hall")))
    #expect(ids { $0.filter.labels = [zone] } == ["eight", "ten"])
    #expect(ids { $0.filter.labels = [zone, hall] } == ["ten"])
    #expect(ids { $0.filter.states = [.silent] } == [])
    #expect(ids { $0.filter.states = [.silent, .online] }.count == 4)
    #expect(
      ids {
        $0.filter.platforms = ["linux/amd64"]
        $0.filter.labels = [hall]
      } == [])
  }

  @Test(arguments: ["", ":1", "a:", ":"])
  func `a text without a name or a version is no service`(text: String) {
    #expect(ServiceQuery(text) == nil)
  }

  @Test(
    arguments: [
      (.address, ["seven", "eight", "nine", "ten"]), (.id, ["eight", "nine", "seven", "ten"]),
      (.rtt, ["nine", "ten", "eight", "seven"]), (.load, ["nine", "ten", "seven", "eight"]),
      (.proof, ["seven", "eight", "nine", "ten"]),
    ] as [(PeerOrder, [String])])
  func `the least comes first, and what is not known last`(order: PeerOrder, expected: [String]) {
    #expect(ids { $0.order = order } == expected)
  }

  @Test func `the least loaded that offers something is one line away`() throws {
    let query = try #require(ServiceQuery("detector"))
    let found = ids {
      $0.filter.services = [query]
      $0.filter.platforms = ["linux/arm64"]
      ($0.order, $0.limit) = (.load, 1)
    }
    #expect(found == ["nine"])
  }

  @Test func `the table has a line a peer under its header`() {
    let list = PeerList()
    #expect(
      list.text(Self.report) == """
        ADDRESS    ID     STATE      PATH   ROUND-TRIP  PROOF  PLATFORM     SERVICES
        10.0.0.2   hub    this host
        10.0.0.7   seven  online     relay
        10.0.0.8   eight  online     relay  20 ms              linux/amd64  camera
        10.0.0.9   nine   online     relay  0.5 ms             linux/arm64  detector
        10.0.0.10  ten    online     relay  3.0 ms             linux/arm64  detector,camera(down)
        """)
    #expect(list.footnote(Self.report)?.contains("1 of 4 peers") == true)
  }

  @Test func `a collision is told below the table, or as why there is none`() {
    var report = Self.report
    report.collision = "the network 10.0.0.0/24 overlaps with 10.0.0.0/29 on docker0 (address 10.0.0.6)"
    #expect(PeerList().footnote(report)?.contains("the same addresses: the network 10.0.0.0/24 overlaps") == true)
    var out = PeersReport(network: nil, self: nil, complete: true, peers: [])
    out.collision = report.collision
    #expect(PeerList().footnote(out) == nil)
    #expect(PeerList().emptiness(of: out)?.hasSuffix("has not joined its network: \(report.collision ?? "")") == true)
  }

  @Test func `lines are cut to the width, unless they shall be wide`() {
    var list = PeerList()
    list.hasHeader = false
    #expect(list.text(Self.report, width: 12).split(separator: "\n").allSatisfy { $0.count <= 12 })
    list.isWide = true
    let wide = list.text(Self.report, width: 12)
    #expect(wide.contains("gpu=yes,zone=hall") && wide.contains("0.25") && !wide.contains("ADDRESS"))
  }

  @Test func `no control character of a peer reaches a terminal`() {
    let evil = "a\u{1B}[2Jb\u{7}\n\u{202E}c\u{9B}1mé"
    var peer = Self.peer(5, evil, evil, services: [.init(name: evil, version: evil)], labels: [evil: evil])
    (peer.hostName, peer.executionType, peer.outerAddress) = (evil, evil, evil + ":1")
    peer.place = .init(outer: evil, local: evil, hops: [evil])
    let report = PeersReport(network: nil, self: nil, complete: true, peers: [peer])
    var list = PeerList()
    list.isWide = true
    let ping = PingReport(address: evil, deviceId: evil, roundTripMs: nil, path: evil, server: evil)
    let shown = [
      list.text(report), PeerTree([peer]).text(), peer.details, ping.line,
      PeerEventReport(.changed, time: 0, peer: peer).line,
    ]
    for text in shown {
      #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || !$0.properties.generalCategory.isUnseen })
      #expect(text.contains("a?[2Jb???c?1mé"))
    }
    #expect(list.text(report).split(separator: "\n").count == 2)
  }

  @Test func `without a connection to the relay, it is said why the peers' states are unknown`() {
    var report = Self.report
    #expect(PeerList().footnote(report)?.contains("no connection") != true)
    report.disconnected = "waiting before the next attempt; last error (1 s ago): refused"
    #expect(PeerList().footnote(report)?.contains("is unknown: waiting before the next attempt; last error") == true)
    report.network = nil
    report.peers = []
    report.`self` = nil
    #expect(PeerList().emptiness(of: report)?.hasSuffix("last error (1 s ago): refused") == true)
  }

  @Test func `without a connection, a host that knows no peers says so, and not that there are none`() {
    var report = PeersReport(network: "10.0.0.0/24", self: Self.report.`self`, complete: true, peers: [])
    report.disconnected = "waiting before the next attempt"
    let note = "no connection to the relay, so which devices are connected is unknown: waiting before the next attempt."
    var online = PeerList()
    online.filter.states = [.online]
    for list in [PeerList(), online] { #expect(list.footnote(report)?.contains(note) == true) }
    #expect(online.emptiness(of: report) == "this host knows of no other device")
  }

  @Test func `an empty list says why it is empty, and one that is not says nothing`() throws {
    let all = PeerList()
    var some = PeerList()
    some.filter.services = [try #require(ServiceQuery("nobody-has-it"))]
    func report(_ network: String?, _ own: PeersReport.Peer?, _ peers: [PeersReport.Peer]) -> PeersReport {
      PeersReport(network: network, self: own, complete: true, peers: peers)
    }
    let own = Self.report.`self`
    #expect(all.emptiness(of: Self.report) == nil && all.emptiness(of: report("10.0.0.0/24", own, [])) == nil)
    for list in [all, some] {
      #expect(list.emptiness(of: report(nil, nil, []))?.contains("has not joined") == true)
    }
    #expect(all.emptiness(of: report("10.0.0.0/24", nil, [])) == "no device is in the network")
    #expect(some.emptiness(of: report("10.0.0.0/24", own, [])) == "no other device is in the network")
    #expect(
      some.emptiness(of: report("10.0.0.0/24", own, [Self.peer(5, "a")])) == "the only other device does not match")
    #expect(
      some.emptiness(of: Self.report) == "none of \(Self.report.peers.count) other devices matches")
  }

  @Test func `the tree has a branch a NAT, the outermost first`() {
    var deep = Self.peer(3, "deep")
    deep.outerAddress = "192.0.2.7:40000"
    deep.place = .init(outer: "192.0.2.7", local: "192.168.80.2", hops: ["192.168.80.1", "192.168.70.1"])
    var middle = Self.peer(4, "middle")
    middle.place = .init(outer: "192.0.2.7", hops: ["192.168.70.1"])
    var other = Self.peer(5, "other")
    other.outerAddress = "[2001:db8::5]:40000"
    let peers = [deep, middle, other, Self.peer(6, "hidden"), Self.peer(1, "first")]
    let tree = PeerTree(peers, of: Self.report.`self`, relay: "10.0.0.1")
    #expect(
      tree.text() == """
        relay
        └─ 10.0.0.1 first online
        192.0.2.7
        └─ 192.168.70.1
           ├─ 10.0.0.4 middle online
           └─ 192.168.80.1
              └─ 10.0.0.3 deep online
        2001:db8::5
        └─ 10.0.0.5 other online
        unknown
        ├─ 10.0.0.6 hidden online
        └─ 10.0.0.2 hub this host
        """)
  }

  @Test func `who wants some peers only is told of these, and when they are not any more`() throws {
    var list = PeerList()
    list.filter.services = [try #require(ServiceQuery("detector"))]
    var filter = EventFilter(list)
    let first = filter.take(PeerEventReport(.snapshot, time: 1, report: Self.report))
    #expect(first?.report?.peers.map(\.deviceId) == ["nine", "ten"])
    let (eight, nine) = (Self.report.peers[2], Self.peer(9, "nine"))
    let ten = Self.report.peers[0]
    let events: [PeerEventReport] = [
      .init(.changed, time: 2, peer: eight), .init(.changed, time: 2, peer: nine), .init(.left, time: 3, peer: nine),
      .init(.left, time: 3, peer: ten), .init(.uplinkLost, time: 4),
    ]
    var told: [Bool] = []
    for event in events { told.append(filter.take(event) != nil) }
    #expect(told == [false, true, false, true, true])
  }

  @Test func `pings add up to a line`() {
    var pings = PingStatistics()
    for time in [1, nil, 3, 2] as [Double?] { pings.add(time) }
    #expect(pings.text == "4 sent, 3 answered, 25 % lost; round trip min 1.0 ms, avg 2.0 ms, max 3.0 ms")
    #expect(PingStatistics().text == "0 sent, 0 answered, 0 % lost")
  }
}

extension Unicode.GeneralCategory {
  fileprivate var isUnseen: Bool {
    [.control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned].contains(self)
  }
}
