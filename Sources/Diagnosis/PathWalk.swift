// The walk, in the order of a packet's journey: this host's interface, its address, the kernel's route → the uplink →
// the relay → the peer, as the relay knows it → the sealed session with it → an echo from end to end → packets from
// kernel to kernel → the peer's name, as programs look it up.

internal import CommandLine
public import Control
internal import Device
internal import SystemPackage
internal import Tun
internal import Wire

/// Judges what is known of a path, step by step.
public enum PathWalk {
  public static func report(_ facts: PathFacts) -> ExplainReport {
    var steps = [interface(facts), address(facts), route(facts), uplink(facts), relay(facts), peer(facts)]
    if case .known(_, let session?) = facts.peer { steps.append(peerUplink(session)) }
    steps += [session(facts), echo(facts), packets(facts, after: steps + [session(facts), echo(facts)]), name(facts)]
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

  private static func interface(_ facts: PathFacts) -> CheckReport {
    let name = facts.interface.name
    func step(_ result: CheckReport.Result, _ finding: String, _ advice: String? = nil) -> CheckReport {
      CheckReport("interface", result, finding, advice: advice)
    }
    if let problem = facts.interface.problem { return step(.warn, problem) }
    guard let state = facts.interface.state else {
      return step(
        .fail, "there is no interface \(name)",
        "another program has deleted it: start the daemon again, which makes it anew")
    }
    guard state.isUp else {
      if facts.interface.address == nil, facts.uplink.joined == nil {
        return step(.skipped, "\(name) is down until this host has joined")
      }
      return step(.fail, "\(name) is down", restoration(name))
    }
    return step(.ok, "\(name) is up, with an MTU of \(state.mtu) bytes")
  }

  private static func address(_ facts: PathFacts) -> CheckReport {
    let interface = facts.interface
    func step(_ result: CheckReport.Result, _ finding: String, _ advice: String? = nil) -> CheckReport {
      CheckReport("address", result, finding, advice: advice)
    }
    guard let first = interface.families.first else {
      return step(.skipped, "this host has no virtual address until it has joined")
    }
    guard interface.state != nil else {
      return step(.skipped, "there is no interface for the address \(first.address)")
    }
    if let family = interface.families.first(where: { !$0.hasAddress }) {
      return step(
        .fail, "\(interface.name) does not have this host's virtual address \(family.address)",
        restoration(interface.name))
    }
    let all = interface.families.map { "\($0.address) in \($0.network)" }.joined(separator: ", and ")
    return step(.ok, "\(interface.name) has \(all)")
  }

  /// What to do about a fault that the daemon itself repairs.
  private static func restoration(_ name: String) -> String {
    "the daemon restores it within a second, and more slowly if another program changes it again and again, which its log says: "
      + "exclude \(name) from what manages this host's network, see THE INTERFACE in mnedc-join(8), and run mnedc-ctl reload"
  }

  private static func route(_ facts: PathFacts) -> CheckReport {
    let interface = facts.interface
    let steps = interface.families.compactMap { route($0, interface) }
    let skipped = CheckReport("route", .skipped, "there is no virtual address to ask the kernel about")
    guard let first = steps.first(where: { $0.result != .ok }) ?? steps.first else { return skipped }
    guard first.result == .ok, steps.count > 1 else { return first }
    let targets = interface.families.compactMap(\.target).joined(separator: " and ")
    return CheckReport("route", .ok, "the kernel sends packets for \(targets) to \(interface.name)")
  }

  private static func route(_ family: PathFacts.Family, _ interface: PathFacts.Interface) -> CheckReport? {
    func step(_ result: CheckReport.Result, _ finding: String, _ advice: String? = nil) -> CheckReport {
      CheckReport("route", result, finding, advice: advice)
    }
    guard let target = family.target, let route = family.route else { return nil }
    let (name, network) = (interface.name, family.network)
    let see = "ip route get \(target) and ip rule show why"
    guard family.hasRoute || route.interface == name else {
      let instead =
        route.interface.map { "it sends packets for \(target) to \($0)" } ?? "packets for \(target) are refused"
      return step(
        .fail, "the kernel has no route to \(network) over \(name), so \(instead)",
        interface.state?.isUp == false ? "\(name) is down: see above" : restoration(name))
    }
    guard let leavesBy = route.interface else {
      return step(
        .fail, "another route wins over the one to \(network) over \(name): it refuses packets for \(target)",
        "remove that route (unreachable, blackhole or prohibit) or the rule; \(see)")
    }
    guard leavesBy == name else {
      return step(
        .fail, "another route wins over the one to \(network) over \(name): packets for \(target) go to \(leavesBy)",
        "remove that route or the rule; \(see)")
    }
    if let source = route.source, source != family.address {
      return step(
        .fail,
        "the kernel sends packets for \(target) from \(source), which is not this host's virtual address "
          + family.address,
        "remove the source from the route; \(see)")
    }
    return step(.ok, "the kernel sends packets for \(target) to \(name)")
  }

  // MARK: The relay

  private static func uplink(_ facts: PathFacts) -> CheckReport {
    let uplink = facts.uplink
    if let applicant = uplink.applicant {
      return CheckReport(
        "uplink", .fail, uplink.progress,
        advice:
          "have the relay's operator run mnedc-ctl approve \(applicant.deviceID), once mnedc-ctl pending shows there that "
          + "its key is \(applicant.fingerprint)")
    }
    let loss = uplink.lastLoss.map { loss in
      let what = !uplink.lastLossWasAttempt ? "lost last" : "\(uplink.joined == nil ? "the last" : "an") attempt failed"
      return "\(what)\(uplink.lost.map { " \(Table.time($0)) ago" } ?? ""): \(loss)"
    }
    guard let joined = uplink.joined else {
      return CheckReport(
        "uplink", .fail, "no connection to the relay, \(uplink.progress)\(loss.map { "; \($0)" } ?? "")",
        advice: advice(uplink))
    }
    if uplink.isLocal { return CheckReport("uplink", .ok, "this is the relay's own host") }
    let since = "connected to \(uplink.server ?? "the relay") for \(Table.time(joined))"
    return CheckReport("uplink", .ok, since + (loss.map { "; \($0)" } ?? ""))
  }

  private static func advice(_ uplink: PathFacts.Uplink) -> String {
    if uplink.isLocal { return "see the log of mnedcd" }
    return uplink.wasTurnedAway
      ? "the way to the relay works: do what this answer says"
      : "run mnedc-ctl netcheck, which says what stands in the way to the relay"
  }

  private static func relay(_ facts: PathFacts) -> CheckReport {
    guard facts.uplink.joined != nil else { return CheckReport("relay", .skipped, "there is no connection to it") }
    let version = facts.relay.version.map { ", runs version \($0)" } ?? ""
    guard let time = facts.relay.roundTripMs else {
      return CheckReport(
        "relay", .fail, "the relay does not answer an echo in time",
        advice:
          "either it is very busy, or the connection is dead or stuck behind large packets that do not get through (the path's MTU), "
          + "which this host finds out within seconds: ask again then")
    }
    var finding = "the relay answers within \(Table.milliseconds(time))\(version)"
    if let limit = facts.relay.segmentLimit {
      return CheckReport(
        "relay", .warn,
        "\(finding); TCP segments of at most \(limit) bytes are used, since larger ones did not get through: the path's MTU",
        advice: PacketSizes.advice)
    }
    if case .lost? = facts.relay.sizes, let sizes = facts.relay.sizes {
      return CheckReport("relay", .warn, "\(finding); \(sizes.finding): the path's MTU", advice: PacketSizes.advice)
    }
    if let sizes = facts.relay.sizes { finding += "; \(sizes.finding)" }
    guard let link = facts.relay.link else { return CheckReport("relay", .ok, finding) }
    let drops = link.lateDrops + link.overflowDrops
    finding +=
      "; \(Table.bytes(link.queueBytes)) wait here, delay \(Table.milliseconds(link.queueDelayMs)), \(drops) dropped"
    guard link.queueDelayMs < slowQueue else {
      return CheckReport(
        "relay", .warn, finding,
        advice: "this host sends more than its way to the relay takes: send less, or mend the way")
    }
    return CheckReport("relay", .ok, finding)
  }

  /// In milliseconds: queues are kept well below.
  private static let slowQueue = 100.0
  /// In seconds: a device that is alive has been asked and has answered by then.
  private static let longSilence = 60.0

  // MARK: The peer

  private static func peer(_ facts: PathFacts) -> CheckReport {
    func step(_ result: CheckReport.Result, _ finding: String, _ advice: String? = nil) -> CheckReport {
      CheckReport("peer", result, finding, advice: advice)
    }
    switch facts.peer {
    case .host: return step(.fail, "\(facts.name) is this host itself", "name another device")
    case .absent(let absence): return absent(facts, absence)
    case .known(let peer, _):
      let who = "\(peer.deviceId) (\(peer.address))"
      guard facts.uplink.joined != nil, peer.state != .unknown else {
        return step(.skipped, "whether \(who) is connected is unknown, since this host has no connection to the relay")
      }
      if peer.state == .untrusted {
        var why = "nothing is exchanged with it, because of its key"
        if case .untrusted(let reason) = facts.echo { why = reason }
        return step(
          .fail, "\(who) is in, but \(why)",
          "if its key was changed on purpose, correct join.peer-keys in this host's configuration; else somebody pretends to be it"
        )
      }
      let proof = peer.proofAge.map { ", proved to be there \(Table.time($0)) ago" } ?? ""
      return step(.ok, "\(who) is in\(proof)\(peer.place.map { "; \(text($0))" } ?? "")")
    }
  }

  private static func absent(_ facts: PathFacts, _ absence: PathFacts.Absence) -> CheckReport {
    let name = facts.name
    func step(_ finding: String, _ advice: String) -> CheckReport {
      CheckReport("peer", .fail, finding, advice: advice)
    }
    guard facts.uplink.joined != nil else {
      return CheckReport(
        "peer", .skipped, "which device is \(name) is unknown, since this host has no connection to the relay")
    }
    if let address = IPv4Address(name), let pool = facts.interface.pool, !pool.contains(address) {
      return step("\(name) is no address of this network, \(pool)", "mnedc-peers lists the addresses that there are")
    }
    switch absence.memory {
    case .revoked:
      return step(
        "\(name) was revoked: the relay refuses its key", "mnedc-ctl forget \(name) lets it begin anew, with an invite")
    case .pending:
      return step("\(name) waits to be let in", "mnedc-ctl approve \(name), if it is the right one (mnedc-ctl pending)")
    case .denied(let time):
      return step(
        "\(name) was turned away (mnedc-ctl deny): the relay refuses its key for \(Table.time(time)) more",
        "if it should be in after all, approve it when it asks again: once that time is over, or mnedcd was started anew"
      )
    case .seen(let time):
      return step(
        "\(name) is known, but not in; it was seen \(Table.time(time)) ago",
        "on that device, see whether it has power and network, whether mnedc-join runs, and what mnedc-ctl status says")
    case .stranger, nil:
      let near = absence.near.map { "; did you mean \($0)?" } ?? ""
      let rest =
        absence.memory == nil
        ? "it may be switched off or revoked, which mnedc-ctl explain on the relay's host tells"
        : "it was never let in: mnedc-ctl invite makes an invite for it"
      return step(
        "no peer that is in has the ID, name or address \(name)\(near)",
        (absence.near.map { "if \($0) is meant, ask for that; else " } ?? "")
          + (absence.isSure ? "mnedc-peers lists those that are in, and " : "") + rest)
    }
  }

  private static func text(_ place: Orchestration.Location) -> String {
    let outer = place.outer.map { ", seen by the relay as \($0)" } ?? ""
    switch place.hops.count {
    case 0: return "behind no router with a private address, as far as can be told\(outer)"
    case 1: return "behind one router with a private address\(outer)"
    default: return "behind \(place.hops.count) routers with private addresses\(outer)"
    }
  }

  /// What the relay alone knows.
  private static func peerUplink(_ session: SessionReport) -> CheckReport {
    let link = session.link
    let finding =
      "connected from \(session.outerAddress) for \(Table.time(session.connected)), heard \(Table.time(session.silent)) ago; "
      + "\(Table.bytes(link.queueBytes)) wait for it, delay \(Table.milliseconds(link.queueDelayMs)), dropped: "
      + "\(link.lateDrops) late, \(link.overflowDrops) full"
    if link.queueDelayMs >= slowQueue {
      return CheckReport(
        "peer-uplink", .warn, finding, advice: "the way to it takes less than is sent to it: send less, or mend the way"
      )
    }
    if session.silent >= longSilence {
      return CheckReport("peer-uplink", .warn, finding, advice: "its connection is about to be found dead")
    }
    return CheckReport("peer-uplink", .ok, finding)
  }

  // MARK: From end to end

  private static func session(_ facts: PathFacts) -> CheckReport {
    guard facts.uplink.joined != nil, case .known(let peer, _) = facts.peer, let echo = facts.echo, echo != .unknownPeer
    else { return CheckReport("session", .skipped, "there is no peer to have a session with") }
    if case .untrusted = echo {
      return CheckReport("session", .skipped, "no session is begun with a peer that is not trusted")
    }
    guard let time = facts.session else {
      return CheckReport(
        "session", .fail, "\(peer.deviceId) does not answer the handshake for a sealed session", advice: mute(peer))
    }
    return CheckReport("session", .ok, "sealed from end to end, for \(Table.time(time))")
  }

  private static func echo(_ facts: PathFacts) -> CheckReport {
    guard facts.session != nil, facts.uplink.joined != nil, case .known(let peer, _) = facts.peer, let echo = facts.echo
    else { return CheckReport("echo", .skipped, "it goes by a sealed session") }
    switch echo {
    case .answered(let time):
      return CheckReport("echo", .ok, "\(peer.deviceId) answers within \(Table.milliseconds(time.milliseconds))")
    case .silent:
      return CheckReport("echo", .fail, "\(peer.deviceId) does not answer an echo in time", advice: mute(peer))
    case .unknownPeer:
      return CheckReport("echo", .fail, "\(peer.deviceId) has just left", advice: "ask again")
    case .untrusted(let why): return CheckReport("echo", .skipped, why)
    case .noRelay: return CheckReport("echo", .fail, "the relay was just lost", advice: "ask again")
    case .busy: return CheckReport("echo", .warn, "too many echoes are under way", advice: "ask again")
    }
  }

  private static func mute(_ peer: PeersReport.Peer) -> String {
    "either mnedc-join there is stuck or its way to the relay has just broken, which the relay finds out within seconds: ask again, "
      + "and see mnedc-ctl status on \(peer.deviceId)"
  }

  private static func packets(_ facts: PathFacts, after steps: [CheckReport]) -> CheckReport {
    if let failed = steps.first(where: { $0.result == .fail }) {
      return CheckReport("packets", .skipped, "not sent, because \(failed.name) fails")
    }
    guard case .known(let peer, _) = facts.peer, let packets = facts.packets else {
      return CheckReport("packets", .skipped, "not sent")
    }
    switch (packets, facts.packets6) {
    case (.answeredSmall(let size), _), (.answered, .answeredSmall(let size)?):
      return CheckReport(
        "packets", .warn,
        "the kernel of \(peer.deviceId) answers small packets of this host's kernel, but none of \(size) bytes",
        advice:
          "a path's MTU may be smaller than its ends know: ask again in some seconds, and run mnedc-ctl explain on "
          + "\(peer.deviceId) too")
    case (.answered, nil), (.answered, .answered?):
      return CheckReport("packets", .ok, "the kernel of \(peer.deviceId) answers this host's kernel")
    case (.answered, _):
      return CheckReport(
        "packets", .warn, "the kernel of \(peer.deviceId) answers this host's kernel by IPv4, but not by IPv6",
        advice:
          "programs that try IPv6 first have to wait: see whether \(peer.deviceId) has an IPv6 address (mnedc-ctl status), "
          + "and look for a firewall (nft list ruleset) or a sysctl there that drops what goes over its interface")
    case (.refused(let error), _):
      let target = facts.interface.families.first?.target ?? peer.address
      return CheckReport(
        "packets", .fail, "packets for \(target) are refused: \(error)",
        advice: suspicion(facts, peer, isRefusedHere: error == .notPermitted))
    case (.silent(let triedEcho), _):
      let tried = triedEcho ? "neither ICMP nor TCP" : "no TCP"
      return CheckReport(
        "packets", .fail, "the daemons reach each other, but \(tried) packets of their kernels come back",
        advice: suspicion(facts, peer, isRefusedHere: false))
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
}
