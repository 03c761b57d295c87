// The walk, in the order of a packet's journey: this host's interface, its address, the kernel's route → the uplink →
// the relay → the peer, as the relay knows it → the sealed session with it → an echo from end to end → packets from
// kernel to kernel → the peer's name, as programs look it up.

internal import CommandLine
internal import Control
internal import Device
internal import Netcheck
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

/// Judges what is known of a path, step by step.
enum PathWalk {
  static func report(_ facts: PathFacts) -> ExplainReport {
    var steps = [
      interface(facts).named("interface"), address(facts).named("address"), route(facts).named("route"),
      uplink(facts).named("uplink"), relay(facts).named("relay"), peer(facts).named("peer"),
    ]
    if case .known(_, let session?) = facts.peer { steps.append(peerUplink(session).named("peer-uplink")) }
    steps += [session(facts).named("session"), echo(facts).named("echo")]
    steps += [packets(facts, after: steps).named("packets"), name(facts).named("name")]
    var report = ExplainReport(peer: facts.name, steps: steps)
    if case .known(let peer, _) = facts.peer {
      report.deviceId = peer.deviceId
      report.address = peer.address
    }
    report.relayRoundTripMs = facts.relay.roundTripMs
    if case .answered(let time) = facts.echo { report.roundTripMs = time.milliseconds }
    return report
  }

  // MARK: This host

  private static func interface(_ facts: PathFacts) -> Finding {
    let name = facts.interface.name
    if let problem = facts.interface.problem { return .warn(problem) }
    guard let state = facts.interface.state else {
      return .fail(
        "there is no interface \(name)", "another program has deleted it: start the daemon again, which makes it anew")
    }
    guard state.isUp else {
      return facts.interface.address == nil && facts.uplink.joined == nil
        ? .skipped("\(name) is down until this host has joined") : .fail("\(name) is down", restoration(name))
    }
    return .ok("\(name) is up, with an MTU of \(state.mtu) bytes")
  }

  private static func address(_ facts: PathFacts) -> Finding {
    let interface = facts.interface
    guard let first = interface.families.first else {
      return .skipped("this host has no virtual address until it has joined")
    }
    guard interface.state != nil else { return .skipped("there is no interface for the address \(first.address)") }
    if let family = interface.families.first(where: { !$0.hasAddress }) {
      return .fail(
        "\(interface.name) does not have this host's virtual address \(family.address)", restoration(interface.name))
    }
    let all = interface.families.map { "\($0.address) in \($0.network)" }.joined(separator: ", and ")
    return .ok("\(interface.name) has \(all)")
  }

  /// What to do about a fault that the daemon itself repairs.
  private static func restoration(_ name: String) -> String {
    "the daemon restores it within a second, and more slowly if another program changes it again and again, which its "
      + "log says: exclude \(name) from what manages this host's network, see THE INTERFACE in mnedc-join(8), and run "
      + "mnedc-ctl reload"
  }

  private static func route(_ facts: PathFacts) -> Finding {
    let interface = facts.interface
    let findings = interface.families.compactMap { route($0, interface) }
    guard let first = findings.first(where: { $0.result != .ok }) ?? findings.first else {
      return .skipped("there is no virtual address to ask the kernel about")
    }
    guard first.result == .ok, findings.count > 1 else { return first }
    let targets = interface.families.compactMap(\.target).joined(separator: " and ")
    return .ok("the kernel sends packets for \(targets) to \(interface.name)")
  }

  private static func route(_ family: PathFacts.Family, _ interface: PathFacts.Interface) -> Finding? {
    guard let target = family.target, let route = family.route else { return nil }
    let (name, network) = (interface.name, family.network)
    let see = "ip route get \(target) and ip rule show why"
    let beaten = "another route wins over the one to \(network) over \(name)"
    guard family.hasRoute || route.interface == name else {
      let instead =
        route.interface.map { "it sends packets for \(target) to \($0)" } ?? "packets for \(target) are refused"
      return .fail(
        "the kernel has no route to \(network) over \(name), so \(instead)",
        interface.state?.isUp == false ? "\(name) is down: see above" : restoration(name))
    }
    guard let leavesBy = route.interface else {
      return .fail(
        "\(beaten): it refuses packets for \(target)",
        "remove that route (unreachable, blackhole or prohibit) or the rule; \(see)")
    }
    guard leavesBy == name else {
      return .fail("\(beaten): packets for \(target) go to \(leavesBy)", "remove that route or the rule; \(see)")
    }
    if let source = route.source, source != family.address {
      return .fail(
        "the kernel sends packets for \(target) from \(source), which is not this host's virtual address "
          + family.address,
        "remove the source from the route; \(see)")
    }
    return .ok("the kernel sends packets for \(target) to \(name)")
  }

  // MARK: The relay

  private static func uplink(_ facts: PathFacts) -> Finding {
    let uplink = facts.uplink
    if let applicant = uplink.applicant {
      return .fail(
        uplink.progress,
        "have the relay's operator run mnedc-ctl approve \(applicant.deviceID), once mnedc-ctl pending shows there "
          + "that its key is \(applicant.fingerprint)")
    }
    let loss =
      uplink.lastLoss.map { loss in
        let what =
          !uplink.lastLossWasAttempt ? "lost last" : "\(uplink.joined == nil ? "the last" : "an") attempt failed"
        return "; \(what)\(uplink.lost.map { " \(Table.time($0)) ago" } ?? ""): \(loss)"
      } ?? ""
    guard let joined = uplink.joined else {
      let advice =
        uplink.isLocal
        ? "see the log of mnedcd"
        : uplink.wasTurnedAway
          ? "the relay is reachable; the line above says why there is no connection"
          : "run mnedc-ctl netcheck, which checks the path to the relay"
      return .fail("no connection to the relay, \(uplink.progress)\(loss)", advice)
    }
    if uplink.isLocal { return .ok("this is the relay's own host") }
    return .ok("connected to \(uplink.server ?? "the relay") for \(Table.time(joined))\(loss)")
  }

  private static func relay(_ facts: PathFacts) -> Finding {
    let relay = facts.relay
    guard facts.uplink.joined != nil else { return .skipped("there is no connection to it") }
    guard let time = relay.roundTripMs else {
      return .fail(
        "the relay does not answer an echo in time",
        "either it is very busy, or the connection is dead or stuck behind large packets that do not get through (the "
          + "path's MTU), which this host finds out within seconds: ask again then")
    }
    var finding = "the relay answers within \(Table.milliseconds(time))"
    if let version = relay.version { finding += ", runs version \(version)" }
    if let limit = relay.segmentLimit {
      finding +=
        "; TCP segments of at most \(limit) bytes are used, since larger ones did not get through: the path's MTU"
      return .warn(finding, PacketSizes.advice)
    }
    if let sizes = relay.sizes { finding += "; \(sizes.finding)" }
    if case .lost? = relay.sizes { return .warn("\(finding): the path's MTU", PacketSizes.advice) }
    guard let link = relay.link else { return .ok(finding) }
    let drops = link.lateDrops + link.overflowDrops
    finding +=
      "; \(Table.bytes(link.queueBytes)) wait here, delay \(Table.milliseconds(link.queueDelayMs)), \(drops) dropped"
    return link.queueDelayMs < slowQueue
      ? .ok(finding)
      : .warn(finding, "this host sends more than the path to the relay takes: send less, or find what slows the path")
  }

  /// In milliseconds: queues normally stay well below.
  private static let slowQueue = 100.0
  /// In seconds: a live device has answered an echo request by then.
  private static let longSilence = 60.0

  // MARK: The peer

  private static func peer(_ facts: PathFacts) -> Finding {
    switch facts.peer {
    case .host: return .fail("\(facts.name) is this host itself", "name another device")
    case .absent(let absence): return absent(facts, absence)
    case .known(let peer, _):
      let who = "\(peer.deviceId) (\(peer.address))"
      guard facts.uplink.joined != nil, peer.state != .unknown else {
        return .skipped("whether \(who) is connected is unknown, since this host has no connection to the relay")
      }
      if peer.state == .untrusted {
        var why = "nothing is exchanged with it, because of its key"
        if case .untrusted(let reason) = facts.echo { why = reason }
        return .fail(
          "\(who) is connected, but \(why)",
          "if its key was changed on purpose, correct join.peer-keys in this host's configuration; else somebody "
            + "pretends to be it")
      }
      let proof = peer.proofAge.map { ", last proved to be alive \(Table.time($0)) ago" } ?? ""
      return .ok("\(who) is connected\(proof)\(peer.place.map { "; \(text($0))" } ?? "")")
    }
  }

  private static func absent(_ facts: PathFacts, _ absence: PathFacts.Absence) -> Finding {
    let name = facts.name
    guard facts.uplink.joined != nil else {
      return .skipped("which device is \(name) is unknown, since this host has no connection to the relay")
    }
    if let address = IPv4Address(name), let pool = facts.interface.pool, !pool.contains(address) {
      return .fail("\(name) is no address of this network, \(pool)", "mnedc-peers lists the addresses in use")
    }
    switch absence.memory {
    case .revoked:
      return .fail(
        "\(name) was revoked: the relay refuses its key", "mnedc-ctl forget \(name) lets it join again, with an invite")
    case .pending:
      return .fail(
        "\(name) waits for approval", "mnedc-ctl approve \(name), if it is the right one (mnedc-ctl pending)")
    case .denied(let time):
      return .fail(
        "\(name) was denied (mnedc-ctl deny): the relay refuses its key for \(Table.time(time)) more",
        "to admit it after all, approve it when it asks again: after that time, or after a restart of mnedcd")
    case .seen(let time):
      return .fail(
        "\(name) is known, but not connected; it was last connected \(Table.time(time)) ago",
        "on that device, see whether it has power and network, whether mnedc-join runs, and what mnedc-ctl status says")
    case .stranger, nil:
      let near = absence.near.map { "; did you mean \($0)?" } ?? ""
      let rest =
        absence.memory == nil
        ? "it may be switched off or revoked, which mnedc-ctl explain on the relay's host tells"
        : "it was never admitted: mnedc-ctl invite makes an invite for it"
      return .fail(
        "no connected peer has the ID, name or address \(name)\(near)",
        (absence.near.map { "if \($0) is meant, ask for that; else " } ?? "")
          + (absence.isSure ? "mnedc-peers lists the connected ones, and " : "") + rest)
    }
  }

  private static func text(_ place: Orchestration.Location) -> String {
    let outer = place.outer.map { ", seen by the relay as \($0)" } ?? ""
    switch place.hops.count {
    case 0: return "behind no router with a private address, as far as is known\(outer)"
    case 1: return "behind one router with a private address\(outer)"
    default: return "behind \(place.hops.count) routers with private addresses\(outer)"
    }
  }

  /// What only the relay knows.
  private static func peerUplink(_ session: SessionReport) -> Finding {
    let link = session.link
    let finding =
      "connected from \(session.outerAddress) for \(Table.time(session.connected)), heard "
      + "\(Table.time(session.silent)) ago; \(Table.bytes(link.queueBytes)) wait for it, delay "
      + "\(Table.milliseconds(link.queueDelayMs)), dropped: \(link.lateDrops) late, \(link.overflowDrops) full"
    if link.queueDelayMs >= slowQueue {
      return .warn(finding, "the path to it takes less than is sent to it: send less, or find what slows the path")
    }
    return session.silent >= longSilence
      ? .warn(finding, "its connection is about to be found dead") : .ok(finding)
  }

  // MARK: From end to end

  private static func session(_ facts: PathFacts) -> Finding {
    guard facts.uplink.joined != nil, case .known(let peer, _) = facts.peer, let echo = facts.echo, echo != .unknownPeer
    else { return .skipped("there is no peer to have a session with") }
    if case .untrusted = echo { return .skipped("this device begins no session with an untrusted peer") }
    guard let time = facts.session else {
      return .fail("\(peer.deviceId) does not answer the handshake for a sealed session", mute(peer))
    }
    return .ok("sealed from end to end, for \(Table.time(time))")
  }

  private static func echo(_ facts: PathFacts) -> Finding {
    guard facts.session != nil, facts.uplink.joined != nil, case .known(let peer, _) = facts.peer, let echo = facts.echo
    else { return .skipped("it needs a sealed session") }
    switch echo {
    case .answered(let time): return .ok("\(peer.deviceId) answers within \(Table.milliseconds(time.milliseconds))")
    case .silent: return .fail("\(peer.deviceId) does not answer an echo in time", mute(peer))
    case .unknownPeer: return .fail("\(peer.deviceId) has just left", "ask again")
    case .untrusted(let why): return .skipped(why)
    case .noRelay: return .fail("the connection to the relay was just lost", "ask again")
    case .busy: return .warn("too many echoes are under way", "ask again")
    }
  }

  private static func mute(_ peer: PeersReport.Peer) -> String {
    "either mnedc-join there is stuck or its path to the relay has just broken, which the relay finds out within "
      + "seconds: ask again, and see mnedc-ctl status on \(peer.deviceId)"
  }

  private static func packets(_ facts: PathFacts, after steps: [CheckReport]) -> Finding {
    if let failed = steps.first(where: { $0.result == .fail }) {
      return .skipped("not sent, because \(failed.name) fails")
    }
    guard case .known(let peer, _) = facts.peer, let packets = facts.packets else { return .skipped("not sent") }
    let kernel = "the kernel of \(peer.deviceId) answers"
    switch (packets, facts.packets6) {
    case (.answeredSmall(let size), _), (.answered, .answeredSmall(let size)?):
      return .warn(
        "\(kernel) small packets of this host's kernel, but none of \(size) bytes",
        "a path's MTU may be smaller than its ends know: ask again in some seconds, and run mnedc-ctl explain on "
          + "\(peer.deviceId) too")
    case (.answered, nil), (.answered, .answered?): return .ok("\(kernel) this host's kernel")
    case (.answered, _):
      return .warn(
        "\(kernel) this host's kernel by IPv4, but not by IPv6",
        "programs that try IPv6 first have to wait: see whether \(peer.deviceId) has an IPv6 address (mnedc-ctl "
          + "status), and look for a firewall (nft list ruleset) or a sysctl there that drops what goes over its "
          + "interface")
    case (.refused(let error), _):
      return .fail(
        "packets for \(facts.interface.families.first?.target ?? peer.address) are refused: \(error)",
        suspicion(facts, peer, isRefusedHere: error == .notPermitted))
    case (.silent(let triedEcho), _):
      let tried = triedEcho ? "neither ICMP nor TCP" : "no TCP"
      return .fail(
        "the daemons reach each other, but \(tried) packets of their kernels come back",
        suspicion(facts, peer, isRefusedHere: false))
    }
  }

  /// Where to look for what stops packets. Most often it is the peer's firewall, which drops unsolicited packets. Only
  /// this host's counters or a refusal by its kernel point to this host.
  private static func suspicion(_ facts: PathFacts, _ peer: PeersReport.Peer, isRefusedHere: Bool) -> String {
    let firewall = "a firewall (nft list ruleset) or a sysctl that drops packets of \(facts.interface.name)"
    if isRefusedHere { return "this host's kernel refuses to send them: look for \(firewall) on this host" }
    switch facts.traffic {
    case let traffic? where traffic.sent == 0:
      return "they do not leave this host's kernel: look for \(firewall) on this host"
    case let traffic? where traffic.received == 0:
      return "they leave this host, and nothing comes back: look for \(firewall) on \(peer.deviceId)"
    default: return "look for \(firewall) on \(peer.deviceId), then on this host"
    }
  }

  /// Most programs use the peer's name.
  private static func name(_ facts: PathFacts) -> Finding {
    guard case .known(let peer, _) = facts.peer, let naming = facts.naming else { return .skipped("not looked up") }
    let advice =
      "use the address \(peer.address); mnedc-ctl status tells how names resolve here, mnedc-ctl reload arranges "
      + "it anew"
    switch naming.found {
    case nil where naming.names.by == .off: return .skipped("names are off (join.names)")
    case nil:
      let note = naming.names.note.map { " (\($0))" } ?? ""
      return .skipped("this host's programs do not resolve names of the network\(note); use \(peer.address)")
    case .success(let addresses):
      if !Set(addresses).isDisjoint(with: [peer.address, peer.address6].compactMap { $0 }) {
        return .ok("programs of this host find \(peer.deviceId) as \(naming.name)")
      }
      let found = addresses.joined(separator: ", ")
      return .warn("\(naming.name) is \(found) for programs of this host, not \(peer.address)", advice)
    case .failure(let reason):
      return .warn("programs of this host do not find \(naming.name): \(reason.text)", advice)
    }
  }
}
