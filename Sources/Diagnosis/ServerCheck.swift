// What a device would do to reach a relay, and what is seen on the way: the name → a connection to each address → the relay's proof of
// who it is → its key → round trips → the path and its routers.

internal import CommandLine
internal import Config
internal import Control
internal import Device
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Wire

/// Looks at the way to one server, as lightly as a device that joins: two handshakes, the second one of large packets,
/// and a few connections that say nothing.
struct ServerCheck {
  private let server: ServerAddress
  private let expectation: RelayExpectation
  private let deadline: Instant
  private var report: Control.ServerReport
  private var network: NetworkNotice?

  /// How many addresses of a name are tried, and how many connections are timed.
  private static let maximumAddresses = 8
  private static let samples = 5
  /// How long routers have to answer.
  private static let routePatience = Duration.seconds(1)
  /// In bytes: what IPv6 asks of every path (RFC 8200, section 5).
  private static let smallPath = 1280

  init(_ server: ServerAddress, _ expectation: RelayExpectation, within limit: Duration) {
    self.server = server
    self.expectation = expectation
    deadline = Instant.now().advanced(by: limit)
    report = Control.ServerReport(server: server.description)
  }

  /// Blocks for as long as `limit` at most, and a second for the routers. Gives the network that the relay tells, too.
  consuming func run() -> (report: Control.ServerReport, network: NetworkNotice?) {
    let addresses = resolve()
    if let contact = connect(to: addresses), let proof = meet(contact) {
      network = proof.network
      checkKey(proof)
      measure(contact)
      trace(contact)
    }
    report.works = report.protocolVersion != nil && !report.checks.contains { $0.name == "key" && $0.result == .fail }
    return (report, network)
  }

  private mutating func note(
    _ name: String, _ result: CheckReport.Result, _ finding: String, _ advice: String? = nil
  ) {
    report.checks.append(CheckReport(name, result, finding, advice: advice))
  }

  // MARK: Name and connection

  private mutating func resolve() -> [SocketAddress] {
    let begun = Instant.now()
    let check = "getent hosts \(server.host) shows what this host finds"
    do {
      switch try Resolver.resolve(server.host, port: server.port, until: deadline) {
      case .success(let found):
        let addresses = Array(found.prefix(Self.maximumAddresses))
        if addresses.first?.host == server.host { return addresses }
        let time = Table.milliseconds(Instant.now().since(begun).milliseconds)
        note("name", .ok, "\(server.host) is \(addresses.map(\.host).joined(separator: ", ")), found in \(time)")
        return addresses
      case .failure(let error):
        note(
          "name", .fail, "\(server.host) cannot be looked up: \(error)",
          "check the name, and the name servers of this host; \(check); or name the relay by its address")
      case nil:
        note("name", .fail, "\(server.host) was not looked up in time", "check the name servers of this host; \(check)")
      }
    } catch {
      note(
        "name", .fail, "\(server.host) cannot be looked up: \(error)", "see whether this host is short of descriptors")
    }
    return []
  }

  /// Tries all addresses; the first that takes a connection is what a device would use.
  private mutating func connect(to addresses: [SocketAddress]) -> RelayContact? {
    var found: RelayContact?
    var failures: [CheckReport] = []
    for (number, address) in addresses.enumerated() {
      // Each of those that are left has the same share of what time is left.
      let left = deadline.since(.now()) / (addresses.count - number)
      do throws(RelayContact.ConnectFailure) {
        let contact = try RelayContact(connectingTo: address, until: Instant.now().advanced(by: left))
        let time = Table.milliseconds(contact.connectTime.milliseconds)
        note("connect", .ok, "\(address) takes connections, after \(time)")
        if report.address == nil {
          report.address = address.description
          found = consume contact
        }
      } catch {
        failures.append(Self.failure(error, address))
      }
    }
    // Where another address works, a device only loses time.
    for var failure in failures {
      if report.address != nil { failure.result = .warn }
      report.checks.append(failure)
    }
    return found
  }

  private static func failure(_ failure: RelayContact.ConnectFailure, _ address: SocketAddress) -> CheckReport {
    let advice: String
    let why: String
    switch failure {
    case .timeout:
      why = "no answer in time"
      advice =
        "check that the host is up, and let TCP port \(address.port) through in its firewall and in the routers between; a relay behind "
        + "a router needs a forwarded port"
    case .failed(.connectionRefused):
      why = "connection refused"
      advice = "nobody listens there: start mnedcd, and check its port (3334 unless relay.listen says otherwise)"
    case .failed(.noRouteToHost):
      why = "no route to host"
      advice =
        "nobody answers at that address, or a router knows no way to it: check the address, and that the relay's host is up"
    case .failed(let error):
      why = "\(error)"
      advice = "this host has no way there: ip route get \(address.host) shows what it would do"
    }
    return CheckReport("connect", .fail, "\(address): \(why)", advice: advice)
  }

  // MARK: The relay

  private mutating func meet(_ contact: borrowing RelayContact) -> RelayContact.Proof? {
    let hint = expectation.hint(for: server.description)
    do throws(RelayContact.MeetFailure) {
      let proof = try contact.meet(expecting: hint, until: deadline)
      report.protocolVersion = proof.version
      let time = Table.milliseconds(proof.time.milliseconds)
      note(
        "relay", .ok, "an MNEDC relay, version \(proof.version) of the protocol, which proves its key within \(time)")
      return proof
    } catch {
      let another = "check the address and the port: another program may have it"
      switch error {
      case .timeout:
        note("relay", .fail, "it takes the connection and says nothing", "see the log of mnedcd, or \(another)")
      case .closed: note("relay", .fail, "it closes the connection at once", "see the log of mnedcd, or \(another)")
      case .failed(let error): note("relay", .fail, "the connection breaks: \(error)", "try again")
      case .foreign(let what, let advice):
        note("relay", .fail, "it is no MNEDC relay: it answers with \(what)", advice ?? another)
      case .refused(let text): note("relay", .fail, "it refuses: \(text)", "wait a minute, and try again")
      case .notAuthentic:
        note(
          "relay", .fail, "it does not prove to have the key that it shows",
          "somebody may stand between: ask its operator")
      case .otherVersion:
        note("relay", .fail, "it speaks another version of the protocol", "have both programs be of one version")
      }
      return nil
    }
  }

  private mutating func checkKey(_ proof: RelayContact.Proof) {
    let fingerprint = proof.key.fingerprint
    report.fingerprint = fingerprint
    let ask = "ask its operator (mnedc-ctl key, on the relay's host)"
    switch expectation.judge(proof.key, of: server.description) {
    case .pinned: note("key", .ok, "\(fingerprint), as it should be")
    case .notPinned(let keys):
      let pins = keys.map(\.fingerprint).joined(separator: ", ")
      note(
        "key", .fail, "\(fingerprint), but it should be \(pins)",
        "either this is not the relay that it should be, or its key was replaced: \(ask), and correct server-key or ask for another invite"
      )
    case .known: note("key", .ok, "\(fingerprint), as it was before")
    case .changed(let former):
      note(
        "key", .fail, "\(fingerprint), but it was \(former.fingerprint) before",
        "either this is not the relay that it was, or its key was replaced: \(ask), and remove its line from known-relays"
      )
    case .stranger:
      if let problem = expectation.problem {
        note("key", .warn, "\(fingerprint); whether it was met before cannot be seen: \(problem)", "run this as root")
      } else {
        note("key", .warn, "\(fingerprint), which nothing pins and which is not known yet", "compare it: \(ask)")
      }
    }
  }

  // MARK: The way

  private mutating func measure(_ contact: borrowing RelayContact) {
    var times = [contact.connectTime]
    while times.count < Self.samples, Instant.now() < deadline,
      let more = try? RelayContact(connectingTo: contact.address, until: deadline)
    {
      times.append(more.connectTime)
    }
    times.sort()
    let median = times[times.count / 2].milliseconds
    report.roundTripMs = median
    let (low, high) = (times[0].milliseconds, times[times.count - 1].milliseconds)
    note(
      "round-trip", .ok,
      "\(Table.milliseconds(median)) as the median of \(times.count) connections, \(Table.milliseconds(low)) to "
        + Table.milliseconds(high))
    guard let path = contact.path else { return }
    report.segmentSize = path.segment
    report.pathMtu = path.mtu
    let known = "segments of \(path.segment) bytes, a path MTU of \(path.mtu) as far as the kernel knows"
    let sizes = PacketSizes.find(at: contact.address, until: deadline)
    let finding = "\(known); \(sizes?.finding ?? "whether such large packets get through was not found out in time")"
    switch sizes {
    case .lost: note("mtu", .warn, finding, PacketSizes.advice)
    case nil: note("mtu", .warn, finding, "give it more time (--timeout)")
    case .passed where path.mtu < Self.smallPath:
      note("mtu", .warn, finding, "such small packets cost speed: see who on the way has this MTU")
    case .passed: note("mtu", .ok, finding)
    }
  }

  private mutating func trace(_ contact: borrowing RelayContact) {
    let until = min(Instant.now().advanced(by: Self.routePatience), max(deadline, .now()))
    report.routers = RouteTrace.routers(towards: contact.address, limit: Orchestration.maximumHops, until: until)
      .map { String($0.host.prefix { $0 != "%" }) }
    let from = contact.local.map { "from \($0.host)" } ?? "from here"
    let hops = Locator.privateHops(report.routers)
    let finding: String
    switch (report.routers.count, hops.count) {
    case (0, _): finding = "\(from); no router on the way has told of itself, so there may be none"
    case (_, 0): finding = "\(from); the first router has a public address (\(report.routers[0]))"
    case (_, 1): finding = "\(from), behind one router with a private address (\(hops[0])): a NAT, most likely"
    default:
      finding =
        "\(from), behind \(hops.count) routers with private addresses (\(hops.joined(separator: ", "))): NATs, most likely"
    }
    note("nat", .ok, finding)
  }
}
