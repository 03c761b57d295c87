// What a device does to reach a relay, step by step: the name → a connection to each address → the relay's proof of its
// key → the key → round trips → the path and its routers.
//
// `netcheck` needs no permission from the relay's operator, because it ends one handshake early. That proves the
// relay's key, but tells neither its pool nor its speed, and `netcheck` says what it did not measure.

internal import CommandLine
internal import Config
internal import Control
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Wire

/// Checks the path to one server at little cost for it: two handshakes, the second one with large packets, and a few
/// connections that send nothing.
struct ServerCheck {
  private let server: ServerAddress
  private let expectation: RelayExpectation
  private let deadline: Instant
  private var report: Control.ServerReport
  private var network: NetworkNotice?

  /// How many addresses of a name are tried, and how many connections are timed.
  private static let maximumAddresses = 8
  private static let samples = 5
  /// How long routers may take to answer.
  private static let routePatience = Duration.seconds(1)
  /// In bytes: IPv6 requires it of every path (RFC 8200, section 5).
  private static let smallPath = 1280

  init(_ server: ServerAddress, _ expectation: RelayExpectation, within limit: Duration) {
    self.server = server
    self.expectation = expectation
    deadline = Instant.now().advanced(by: limit)
    report = Control.ServerReport(server: server.description)
  }

  /// Blocks for `limit` at most, and a second for the routers. Also returns the network that the relay tells.
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

  private mutating func note(_ name: String, _ finding: Finding) {
    report.checks.append(finding.named(name))
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
        let list = addresses.map(\.host).joined(separator: ", ")
        note("name", .ok("\(server.host) is \(list), found in \(time)"))
        return addresses
      case .failure(let error):
        let advice = "check the name, and the name servers of this host; \(check); or name the relay by its address"
        note("name", .fail("\(server.host) cannot be looked up: \(error)", advice))
      case nil:
        let advice = "check the name servers of this host; \(check)"
        note("name", .fail("\(server.host) was not looked up in time", advice))
      }
    } catch {
      let advice = "see whether this host is short of descriptors"
      note("name", .fail("\(server.host) cannot be looked up: \(error)", advice))
    }
    return []
  }

  /// Tries all addresses; the first that takes a connection is what a device would use.
  private mutating func connect(to addresses: [SocketAddress]) -> RelayContact? {
    var found: RelayContact?
    var failures: [CheckReport] = []
    for (number, address) in addresses.enumerated() {
      // The remaining addresses share the remaining time.
      let left = deadline.since(.now()) / (addresses.count - number)
      do throws(Errno) {
        let contact = try RelayContact(connectingTo: address, until: Instant.now().advanced(by: left))
        let time = Table.milliseconds(contact.connectTime.milliseconds)
        note("connect", .ok("\(address) takes connections, after \(time)"))
        if report.address == nil {
          report.address = address.description
          found = consume contact
        }
      } catch {
        failures.append(Self.failure(error, address).named("connect"))
      }
    }
    // Where another address works, a device only loses time.
    for var failure in failures {
      if report.address != nil { failure.result = .warn }
      report.checks.append(failure)
    }
    return found
  }

  private static func failure(_ error: Errno, _ address: SocketAddress) -> Finding {
    switch error {
    case .timedOut:
      .fail(
        "\(address): no answer in time",
        "check that the host is up, and let TCP port \(address.port) through in its firewall and in the routers "
          + "between; a relay behind a router needs a forwarded port")
    case .connectionRefused:
      .fail(
        "\(address): connection refused",
        "nothing listens there: start mnedcd, and check its port (3334 unless relay.listen says otherwise)")
    case .noRouteToHost:
      .fail(
        "\(address): no route to host",
        "no host answers at that address, or a router has no route to it: check the address, and that the relay's host "
          + "is up")
    default: .fail("\(address): \(error)", "this host has no route there: ip route get \(address.host) shows it")
    }
  }

  // MARK: The relay

  private mutating func meet(_ contact: borrowing RelayContact) -> RelayContact.Proof? {
    let hint = expectation.hint(for: server.description)
    do throws(RelayContact.MeetFailure) {
      let proof = try contact.meet(expecting: hint, until: deadline)
      report.protocolVersion = proof.version
      let time = Table.milliseconds(proof.time.milliseconds)
      let version = "version \(proof.version) of the protocol"
      note("relay", .ok("an MNEDC relay, \(version), which proves its key within \(time)"))
      return proof
    } catch {
      note("relay", Self.failure(error))
      return nil
    }
  }

  private static func failure(_ failure: RelayContact.MeetFailure) -> Finding {
    let another = "check the address and the port: another program may have it"
    return switch failure {
    case .timeout: .fail("it takes the connection and says nothing", "see the log of mnedcd, or \(another)")
    case .closed: .fail("it closes the connection at once", "see the log of mnedcd, or \(another)")
    case .failed(let error): .fail("the connection breaks: \(error)", "try again")
    case .foreign(let what, let advice): .fail("it is no MNEDC relay: it answers with \(what)", advice ?? another)
    case .refused(let text): .fail("it refuses: \(text)", "wait a minute, and try again")
    case .notAuthentic:
      .fail("it does not prove to have the key that it shows", "somebody may stand between: ask its operator")
    case .otherVersion: .fail("it speaks another version of the protocol", "have both programs be of one version")
    }
  }

  private mutating func checkKey(_ proof: RelayContact.Proof) {
    let key = proof.key.fingerprint
    report.fingerprint = key
    let ask = "ask its operator (mnedc-ctl key, on the relay's host)"
    switch expectation.judge(proof.key, of: server.description) {
    case .pinned: note("key", .ok("\(key), as it should be"))
    case .notPinned(let keys):
      let pins = keys.map(\.fingerprint).joined(separator: ", ")
      let advice =
        "either this is not the relay that it should be, or its key was replaced: \(ask), and correct server-key or "
        + "ask for another invite"
      note("key", .fail("\(key), but it should be \(pins)", advice))
    case .known: note("key", .ok("\(key), as it was before"))
    case .changed(let former):
      let advice =
        "either this is not the relay that it was, or its key was replaced: \(ask), and remove its line from "
        + "known-relays"
      note("key", .fail("\(key), but it was \(former.fingerprint) before", advice))
    case .stranger:
      if let problem = expectation.problem {
        note("key", .warn("\(key); whether it was met before cannot be seen: \(problem)", "run this as root"))
      } else {
        note("key", .warn("\(key), which nothing pins and which is not known yet", "compare it: \(ask)"))
      }
    }
  }

  // MARK: The path

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
    let range = [times[0], times[times.count - 1]].map { Table.milliseconds($0.milliseconds) }.joined(separator: " to ")
    note("round-trip", .ok("\(Table.milliseconds(median)) as the median of \(times.count) connections, \(range)"))
    guard let path = contact.path else { return }
    report.segmentSize = path.segment
    report.pathMtu = path.mtu
    let known = "segments of \(path.segment) bytes, a path MTU of \(path.mtu) as far as the kernel knows"
    let sizes = PacketSizes.find(at: contact.address, until: deadline)
    let finding = "\(known); \(sizes?.finding ?? "whether such large packets get through was not found out in time")"
    switch sizes {
    case .lost: note("mtu", .warn(finding, PacketSizes.advice))
    case nil: note("mtu", .warn(finding, "give it more time (--timeout)"))
    case .passed where path.mtu < Self.smallPath:
      note("mtu", .warn(finding, "such small packets cost speed: find the link on the path that has this MTU"))
    case .passed: note("mtu", .ok(finding))
    }
  }

  private mutating func trace(_ contact: borrowing RelayContact) {
    let until = min(Instant.now().advanced(by: Self.routePatience), max(deadline, .now()))
    report.routers = RouteTrace.routers(towards: contact.address, limit: Orchestration.maximumHops, until: until)
      .map { String($0.host.prefix { $0 != "%" }) }
    let from = contact.local.map { "from \($0.host)" } ?? "from here"
    let hops = Orchestration.Location.privateHops(report.routers)
    let list = hops.joined(separator: ", ")
    let finding =
      switch (report.routers.count, hops.count) {
      case (0, _): "\(from); no router on the path has answered, so there may be none"
      case (_, 0): "\(from); the first router has a public address (\(report.routers[0]))"
      case (_, 1): "\(from), behind one router with a private address (\(list)): a NAT, most likely"
      default: "\(from), behind \(hops.count) routers with private addresses (\(list)): NATs, most likely"
      }
    note("nat", .ok(finding))
  }
}
