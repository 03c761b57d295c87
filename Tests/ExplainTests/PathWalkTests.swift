import Control
import Device
import SystemIO
import SystemPackage
import Testing
import Tun
import Wire

@testable import Explain

@Suite struct PathWalkTests {
  private static let own = IPv4Address(bits: 0x0A00_0002)
  private static let other = IPv4Address(bits: 0x0A00_0003)
  private static let pool = IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24)

  private static let pool6 = IPv6Prefix(IPv6Address(high: 0xFD00_0001_0002_0003, low: 0), length: 96)
  private static let own6 = "\(pool6.address(of: own))"
  private static let other6 = "\(pool6.address(of: other))"

  private static func family(_ own: String, _ network: HostNetwork.Prefix, _ target: String) -> PathFacts.Family {
    var family = PathFacts.Family(address: own, network: network, hasAddress: true, hasRoute: true)
    family.target = target
    family.route = PathFacts.Route(interface: "mnedc0", source: own)
    return family
  }

  /// A path on which nothing is wrong.
  private static func facts() -> PathFacts {
    var interface = PathFacts.Interface(
      name: "mnedc0", state: InterfaceState(isUp: true, mtu: 1400, addresses: [own]), address: own, pool: pool)
    interface.families = [family("\(own)", .ipv4(pool), "\(other)"), family(own6, .ipv6(pool6), other6)]
    let peer = PeersReport.Peer(address: other.description, deviceId: "d2", state: .online)
    var facts = PathFacts(
      name: "d2", peer: .known(peer, session: nil), interface: interface,
      uplink: PathFacts.Uplink(isLocal: false, joined: 30, server: "192.0.2.1:3334", progress: "joined"))
    facts.relay.roundTripMs = 0.4
    facts.echo = .answered(.milliseconds(2))
    facts.session = 20
    facts.packets = .answered
    facts.naming = PathFacts.Naming(
      name: "d2.mnedc", names: NamesReport(domain: "mnedc", by: .systemdResolved), found: .success(["\(other)"]))
    return facts
  }

  private func result(_ report: ExplainReport, _ step: String) -> CheckReport.Result? {
    report.steps.first { $0.name == step }?.result
  }

  @Test func `a path on which nothing is wrong works in every step`() {
    let report = PathWalk.report(Self.facts())
    #expect(report.works && report.failedStep == nil)
    #expect(report.steps.allSatisfy { $0.result == .ok && $0.advice == nil })
    #expect(
      report.steps.map(\.name) == [
        "interface", "address", "route", "uplink", "relay", "peer", "session", "echo", "packets", "name",
      ])
    #expect(report.deviceId == "d2" && report.address == "10.0.0.3")
    #expect(report.roundTripMs == 2 && report.relayRoundTripMs == 0.4)
  }

  private static let faults: [(String, @Sendable (inout PathFacts) -> Void)] = [
    ("interface", { $0.interface.state = nil }),
    ("interface", { $0.interface.state?.isUp = false }),
    ("address", { $0.interface.families[0].hasAddress = false }),
    ("address", { $0.interface.families[1].hasAddress = false }),
    ("route", { $0.interface.families[0].route?.interface = nil }),
    ("route", { $0.interface.families[0].route?.interface = "eth0" }),
    ("route", { $0.interface.families[0].route?.source = "\(other)" }),
    ("route", { $0.interface.families[1].route?.interface = nil }),
    ("route", { $0.interface.families[1].route?.interface = "eth0" }),
    (
      "uplink",
      {
        $0.uplink.joined = nil
        $0.uplink.lastLoss = "the relay closed the connection"
        $0.echo = .noRelay
      }
    ),
    ("relay", { $0.relay.roundTripMs = nil }),
    ("peer", { $0.peer = .host }),
    ("peer", { $0.peer = .absent(PathFacts.Absence()) }),
    ("peer", { $0.peer = .absent(PathFacts.Absence(memory: .revoked)) }),
    ("peer", { $0.peer = .absent(PathFacts.Absence(memory: .seen(7))) }),
    ("peer", { $0.peer = .absent(PathFacts.Absence(memory: .pending)) }),
    ("peer", { $0.peer = .absent(PathFacts.Absence(memory: .denied(3000))) }),
    ("peer", { $0.peer = .absent(PathFacts.Absence(memory: .stranger)) }),
    (
      "peer",
      {
        $0.peer = .known(PeersReport.Peer(address: "10.0.0.3", deviceId: "d2", state: .untrusted), session: nil)
        $0.echo = .untrusted("the relay vouches for another key")
      }
    ),
    (
      "session",
      {
        $0.session = nil
        $0.echo = .silent
      }
    ),
    ("echo", { $0.echo = .silent }),
    ("echo", { $0.echo = .unknownPeer }),
    ("packets", { $0.packets = .silent(triedEcho: true) }),
    ("packets", { $0.packets = .refused(.notPermitted) }),
  ]

  @Test(arguments: 0..<faults.count)
  func `each fault is named by its own step, with what to do`(_ number: Int) {
    let (step, fault) = Self.faults[number]
    var facts = Self.facts()
    fault(&facts)
    let report = PathWalk.report(facts)
    let first = report.steps.first { $0.result == .fail }
    #expect(!report.works && report.failedStep == step && first?.name == step)
    #expect(first?.advice?.isEmpty == false)
  }

  @Test(arguments: [0, 1]) func `a route of its own that is missing is told from another that wins`(family: Int) throws
  {
    var facts = Self.facts()
    func finding(hasRoute: Bool, leavesBy interface: String?) throws -> (finding: String, advice: String) {
      facts.interface.families[family].hasRoute = hasRoute
      facts.interface.families[family].route?.interface = interface
      let step = try #require(PathWalk.report(facts).steps.first { $0.name == "route" })
      #expect(step.result == .fail)
      return (step.finding, step.advice ?? "")
    }
    let network = "\(facts.interface.families[family].network)"
    for interface in ["eth0", nil] {
      let missing = try finding(hasRoute: false, leavesBy: interface)
      #expect(missing.finding.hasPrefix("the kernel has no route to \(network) over mnedc0"))
      #expect(missing.advice.contains("reload") && !missing.advice.contains("remove"))
      let beaten = try finding(hasRoute: true, leavesBy: interface)
      #expect(beaten.finding.hasPrefix("another route wins over the one to \(network) over mnedc0"))
      #expect(beaten.advice.contains("remove"))
      for each in [missing, beaten] { #expect(each.finding.contains(interface ?? "refuse")) }
    }
  }

  @Test func `a kernel that answers by one family alone is a warning where both were asked for`() throws {
    var facts = Self.facts()
    facts.packets6 = .answered
    #expect(result(PathWalk.report(facts), "packets") == .ok)
    facts.packets6 = .silent(triedEcho: true)
    let report = PathWalk.report(facts)
    #expect(report.works)
    let step = try #require(report.steps.first { $0.name == "packets" })
    #expect(step.result == .warn && step.finding.contains("IPv6") && step.advice != nil)
    // Asked for by its IPv6 address, it is the first and only one.
    facts.interface.families.removeFirst()
    (facts.packets, facts.packets6) = (.refused(.notPermitted), nil)
    let refused = try #require(PathWalk.report(facts).steps.first { $0.name == "packets" })
    #expect(refused.finding.contains(Self.other6))
  }

  @Test func `a name that programs do not find is a warning, and the path works`() throws {
    var facts = Self.facts()
    for (found, words) in [
      (.failure(.init("Name or service not known")), "do not find d2.mnedc: Name or service not known"),
      (.success(["192.0.2.9"]), "d2.mnedc is 192.0.2.9 for programs of this host, not 10.0.0.3"),
    ] as [(Result<[String], PathFacts.Naming.Reason>, String)] {
      facts.naming?.found = found
      let report = PathWalk.report(facts)
      let step = try #require(report.steps.last)
      #expect(report.works && step.name == "name" && step.result == .warn && step.finding.contains(words))
      #expect(step.advice?.contains("10.0.0.3") == true)
    }
    // Where programs are not told of names, that is how the host is set up.
    facts.naming = PathFacts.Naming(name: "d2.mnedc", names: NamesReport(domain: "mnedc", by: .server, note: "why"))
    #expect(PathWalk.report(facts).steps.last?.result == .skipped)
    facts.naming?.names.by = .off
    #expect(PathWalk.report(facts).steps.last?.finding.contains("join.names") == true)
  }

  @Test func `a host that has not joined yet is told of its uplink, not of what comes with joining`() {
    var facts = Self.facts()
    facts.interface.state = InterfaceState(isUp: false, mtu: 1500, addresses: [])
    (facts.interface.address, facts.interface.families) = (nil, [])
    facts.uplink.joined = nil
    facts.peer = .absent(PathFacts.Absence())
    let report = PathWalk.report(facts)
    #expect(report.failedStep == "uplink")
    #expect(result(report, "interface") == .skipped && result(report, "address") == .skipped)
    #expect(result(report, "peer") == .skipped && result(report, "packets") == .skipped)
  }

  @Test func `who waits for an operator is told what that operator has to do`() throws {
    var facts = Self.facts()
    facts.uplink.joined = nil
    facts.uplink.progress = "waiting for an operator"
    facts.uplink.lastLoss = "connection refused"
    facts.uplink.applicant = PathFacts.Applicant(deviceID: "d1", fingerprint: "SHA256:abc")
    let step = try #require(PathWalk.report(facts).steps.first { $0.name == "uplink" })
    #expect(step.result == .fail && step.finding == "waiting for an operator")
    #expect(step.advice?.contains("mnedc-ctl approve d1") == true && step.advice?.contains("SHA256:abc") == true)
  }

  @Test(arguments: [
    (true, "the relay is reachable; the line above says why there is no connection"),
    (false, "run mnedc-ctl netcheck, which checks the path to the relay"),
  ])
  func `the advice without a connection is by whether the relay answers`(wasTurnedAway: Bool, advice: String) {
    var facts = Self.facts()
    (facts.uplink.joined, facts.uplink.wasTurnedAway) = (nil, wasTurnedAway)
    #expect(PathWalk.report(facts).steps.first { $0.name == "uplink" }?.advice == advice)
  }

  @Test func `a connection that was lost is told from an attempt that failed`() throws {
    var facts = Self.facts()
    facts.uplink.lastLoss = "connection refused"
    facts.uplink.lost = 3
    for (wasAttempt, joined, words) in [
      (false, nil, "; lost last 3 s ago: "), (false, 2, "; lost last 3 s ago: "),
      (true, nil, "; the last attempt failed 3 s ago: "), (true, 2, "; an attempt failed 3 s ago: "),
    ] as [(Bool, Double?, String)] {
      facts.uplink.lastLossWasAttempt = wasAttempt
      facts.uplink.joined = joined
      let step = try #require(PathWalk.report(facts).steps.first { $0.name == "uplink" })
      #expect(step.finding.hasSuffix(words + "connection refused"))
    }
  }

  @Test(
    arguments: [
      (.silent(triedEcho: true), nil, "on d2, then on this host"),
      (.silent(triedEcho: true), PathFacts.Traffic(sent: 4, received: 0), "nothing comes back: .* on d2"),
      (.silent(triedEcho: true), PathFacts.Traffic(sent: 0, received: 9), "do not leave .* on this host"),
      (.silent(triedEcho: true), PathFacts.Traffic(sent: 4, received: 2), "on d2, then on this host"),
      (.refused(.notPermitted), PathFacts.Traffic(sent: 3, received: 0), "refuses to send them: .* on this host"),
      (.refused(.noRouteToHost), PathFacts.Traffic(sent: 3, received: 3), "on d2, then on this host"),
    ] as [(PacketProbe.Answer, PathFacts.Traffic?, String)])
  func `the peer's firewall is suspected first, unless something speaks against this host's`(
    packets: PacketProbe.Answer, traffic: PathFacts.Traffic?, advice: String
  ) throws {
    var facts = Self.facts()
    (facts.packets, facts.traffic) = (packets, traffic)
    let step = try #require(PathWalk.report(facts).steps.first { $0.name == "packets" })
    #expect(step.result == .fail)
    #expect(try step.advice?.wholeMatch(of: Regex(".*\(advice)")) != nil, "\(step.advice ?? "")")
  }

  @Test func `who was perhaps meant is named`() {
    var facts = Self.facts()
    facts.peer = .absent(PathFacts.Absence(near: "kitchen-hub"))
    let step = PathWalk.report(facts).steps.first { $0.name == "peer" }
    #expect(step?.finding.contains("kitchen-hub") == true)
  }

  @Test func `a relay's host tells of the peer's connection, and warns where it is slow`() {
    var facts = Self.facts()
    guard case .known(let peer, _) = facts.peer else { return }
    var link = LinkReport(
      receivedFrames: 1, receivedBytes: 1, sentFrames: 1, sentBytes: 1, queueBytes: 0, queueDelayMs: 1, lateDrops: 0,
      overflowDrops: 0)
    func session() -> SessionReport {
      SessionReport(
        address: peer.address, deviceId: peer.deviceId, outerAddress: "192.0.2.7:40000", connected: 60, silent: 1,
        roundTripMs: nil, link: link)
    }
    facts.peer = .known(peer, session: session())
    #expect(result(PathWalk.report(facts), "peer-uplink") == .ok)
    link.queueDelayMs = 400
    facts.peer = .known(peer, session: session())
    let report = PathWalk.report(facts)
    #expect(result(report, "peer-uplink") == .warn && report.works)
  }

  @Test func `a name that programs do not find, or find elsewhere, is a warning and no fault of the path`() throws {
    func step(_ found: Result<[String], PathFacts.Naming.Reason>?, by means: NamesReport.Means) throws -> CheckReport {
      var facts = Self.facts()
      facts.naming = PathFacts.Naming(name: "d2.mnedc", names: NamesReport(domain: "mnedc", by: means), found: found)
      let report = PathWalk.report(facts)
      #expect(report.works)
      return try #require(report.steps.first { $0.name == "name" })
    }
    #expect(try step(.success(["\(Self.other)"]), by: .hostsFile).result == .ok)
    let elsewhere = try step(.success(["192.0.2.9"]), by: .systemdResolved)
    #expect(elsewhere.result == .warn && elsewhere.finding.contains("192.0.2.9") && elsewhere.advice != nil)
    let unknown = try step(.failure(PathFacts.Naming.Reason("no such name")), by: .systemdResolved)
    #expect(unknown.result == .warn && unknown.finding.contains("no such name") && unknown.advice != nil)
    #expect(try step(nil, by: .off).result == .skipped)
  }
}
