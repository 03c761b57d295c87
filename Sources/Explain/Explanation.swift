// The measurements of a walk, in order: which peer is meant → an echo of the relay → an echo of the peer → the state of
// the device, its interface and the kernel's routes → what the relay remembers, on its own host → packets of the kernel
// → the peer's name → `PathWalk` judges.

internal import CommandLine
internal import Config
public import Control
public import DaemonKit
public import Device
public import DeviceHost
internal import Netcheck
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

/// Explains the path to a peer, in a daemon. Owned by the main thread.
public final class Explanation {
  public typealias Answer = @Sendable (ControlAnswer) -> Void

  /// Gives what the relay knows of the device of that name, on the main thread.
  public typealias Recall = (String, @escaping (PathFacts.Memory, SessionReport?) -> Void) -> Void

  // Set once.
  private let events: EventLoop
  private let device: Device?
  private let peers: PeerCommands
  private let recall: Recall?
  private let names: () -> NamesReport

  private var running = 0

  /// Each uses a thread for some seconds.
  private static let maximum = 8

  /// `recall` is for a relay's own host; `names` tells how names resolve on this host.
  public init(
    _ daemon: Daemon, _ device: Device?, _ peers: PeerCommands, recall: Recall? = nil,
    names: @escaping () -> NamesReport
  ) {
    events = daemon.events
    self.device = device
    self.peers = peers
    self.recall = recall
    self.names = names
  }

  /// Walks to the peer with that ID, name or address; each echo has a third of `limit`.
  public func explain(_ name: String, within limit: Duration, _ answer: @escaping Answer) {
    guard let device else {
      let problem = "this relay is no device (relay.device), so no path begins here; ask on one of the devices"
      return answer(.failed(ControlError(.unsupported, problem)))
    }
    guard running < Self.maximum else {
      return answer(.failed(ControlError(.busy, "too many paths are being explained; try again")))
    }
    running += 1
    let patience = limit / 3
    peers.search(name) { [self] name, peer, report in
      measure(device, peer, within: patience) { [self] relayEcho, echo, status in
        var facts = Self.facts(name, peer, report, status, isLocal: recall != nil)
        facts.relay.roundTripMs = relayEcho?.milliseconds
        facts.echo = echo
        remember(facts) { [self] facts in
          probe(facts, within: patience) { [self] facts in
            running -= 1
            answer(.report(PathWalk.report(facts)))
          }
        }
      }
    }
  }

  // MARK: Steps

  /// The echoes, and then the state of the device.
  private func measure(
    _ device: Device, _ peer: PeersReport.Peer?, within patience: Duration,
    _ next: @escaping (Duration?, PingOutcome?, DeviceStatus) -> Void
  ) {
    let next = LoopBound(next)
    let address = peer.flatMap { IPv4Address($0.address) }
    let events = events
    device.pingRelay(within: patience) { relayEcho in
      let finish = { @Sendable (echo: PingOutcome?) in
        device.status { status in events.post { next.value(relayEcho, echo, status) } }
      }
      guard let address else { return finish(nil) }
      device.ping(address, within: patience) { finish($0) }
    }
  }

  private static func facts(
    _ name: String, _ peer: PeersReport.Peer?, _ report: PeersReport, _ status: DeviceStatus, isLocal: Bool
  ) -> PathFacts {
    let now = Instant.now()
    let found: PathFacts.Peer =
      if let peer {
        .known(peer, session: nil)
      } else if report.`self`?.is(name) == true || name == status.deviceID {
        .host
      } else {
        .absent(
          PathFacts.Absence(near: suggestion(for: name, among: report.peers.map(\.deviceId)), isSure: report.complete))
      }
    let applicant = status.pendingKey.map {
      PathFacts.Applicant(deviceID: status.deviceID, fingerprint: $0.fingerprint)
    }
    var facts = PathFacts(
      name: name, peer: found, interface: interface(of: status, peer, askedFor: name),
      uplink: PathFacts.Uplink(
        isLocal: isLocal, joined: status.joinedSince.map { now.since($0).roundedSeconds }, server: status.server,
        progress: status.progress, lastLoss: status.lastLoss, lastLossWasAttempt: status.lastLossWasAttempt,
        lost: status.lostAt.map { now.since($0).roundedSeconds }, applicant: applicant,
        wasTurnedAway: status.wasTurnedAway))
    facts.relay.version = status.relayVersion
    facts.relay.segmentLimit = status.segmentLimit
    facts.relay.link = LinkReport(received: status.received, sent: status.sent, queue: status.queue)
    let known = status.peers.first { $0.peer.address.description == peer?.address }
    facts.session = known?.sessionSince.map { now.since($0).roundedSeconds }
    return facts
  }

  private static func interface(
    of status: DeviceStatus, _ peer: PeersReport.Peer?, askedFor name: String
  ) -> PathFacts.Interface {
    var facts = PathFacts.Interface(
      name: status.interface, state: nil, address: status.address, pool: status.pool)
    do {
      facts.state = try InterfaceState.look(at: status.interface)
    } catch {
      facts.problem = "the state of \(status.interface) is unknown: \(error)"
    }
    guard let own = status.address, let pool = status.pool else { return facts }
    let relay = status.relayAddress == own ? nil : status.relayAddress
    let target = peer.flatMap { IPv4Address($0.address) } ?? relay
    let state = facts.state
    if IPv6Address(name) == nil {
      facts.families.append(
        family("\(own)", .ipv4(pool), target.map { "\($0)" }, has: state?.addresses.contains(own) == true, state))
    }
    // A name resolves to both families; on a host without IPv6 in this network, to IPv4 only.
    if IPv4Address(name) == nil, let pool6 = status.pool6, status.address6 != nil || IPv6Address(name) != nil {
      let own6 = pool6.address(of: own)
      facts.families.append(
        family(
          "\(own6)", .ipv6(pool6), target.map { "\(pool6.address(of: $0))" },
          has: state?.addresses6.contains(own6) == true, state))
    }
    return facts
  }

  private static func family(
    _ own: String, _ network: HostNetwork.Prefix, _ target: String?, has isPresent: Bool, _ state: InterfaceState?
  ) -> PathFacts.Family {
    var facts = PathFacts.Family(
      address: own, network: network, hasAddress: isPresent, hasRoute: state?.routes.contains(network) == true)
    facts.target = target
    guard let target, let place = SocketAddress(numeric: target, port: 0), var finder = try? PathFinder() else {
      return facts
    }
    let path = finder.path(to: place)
    facts.route = PathFacts.Route(
      interface: path.map { interfaceName(of: $0.interface) ?? "an interface that is gone" },
      source: path.flatMap { address($0.source) })
    return facts
  }

  /// The text of an address in network byte order.
  private static func address(_ bytes: [UInt8]) -> String? {
    switch bytes.count {
    case 4: "\(IPv4Address(bits: bytes.reduce(0) { $0 << 8 | UInt32($1) }))"
    case 16: "\(IPv6Address(bits: bytes.reduce(0) { $0 << 8 | UInt128($1) }))"
    default: nil
    }
  }

  /// Adds what the relay knows, where this is its host.
  private func remember(_ facts: PathFacts, _ next: @escaping (PathFacts) -> Void) {
    guard let recall else { return next(facts) }
    var facts = facts
    switch facts.peer {
    case .host: next(facts)
    case .known(let peer, _):
      recall(peer.deviceId) { _, session in
        facts.peer = .known(peer, session: session)
        next(facts)
      }
    case .absent(var absence):
      recall(facts.name) { memory, _ in
        absence.memory = memory
        facts.peer = .absent(absence)
        next(facts)
      }
    }
  }

  /// Sends large packets to the relay, if there is a connection. If all else works, sends packets of the kernel to the
  /// peer and looks its name up.
  private func probe(_ facts: PathFacts, within patience: Duration, _ next: @escaping (PathFacts) -> Void) {
    var relay: SocketAddress?
    if !facts.uplink.isLocal, facts.relay.roundTripMs != nil, let server = facts.uplink.server,
      let place = try? ServerAddress(parsing: server)
    {
      relay = SocketAddress(numeric: place.host, port: place.port)
    }
    var targets: [SocketAddress] = []
    var naming: PathFacts.Naming?
    if case .known(let peer, _) = facts.peer, PathWalk.report(facts).works {
      targets = facts.interface.families.compactMap { family in
        family.target.flatMap { SocketAddress(numeric: $0, port: 0) }
      }
      let names = names()
      naming = PathFacts.Naming(name: "\(HostLabel.label(of: peer.deviceId)).\(names.domain)", names: names)
    }
    guard let device, relay != nil || naming != nil else { return next(facts) }
    let goOn = LoopBound(next)
    let mtu = facts.interface.state?.mtu
    device.status { [events, relay, targets, naming] before in
      SystemThread.detach(name: "packet-probe") {
        let sizes = relay.flatMap { PacketSizes.find(at: $0, until: Instant.now().advanced(by: patience)) }
        // The second family only if the first one answers: otherwise the counters would count both.
        var answers: [PacketProbe.Answer] = []
        for target in targets where answers.allSatisfy(\.isPositive) {
          answers.append(PacketProbe.probe(target, mtu: mtu, until: Instant.now().advanced(by: patience)))
        }
        var found = naming
        found?.lookUp(until: Instant.now().advanced(by: patience))
        device.status { [found, answers] after in
          events.post {
            var facts = facts
            facts.relay.sizes = sizes
            facts.packets = answers.first
            facts.packets6 = answers.dropFirst().first
            facts.traffic = PathFacts.Traffic(
              sent: after.counters.sent - before.counters.sent,
              received: after.counters.received - before.counters.received)
            facts.naming = found
            goOn.value(facts)
          }
        }
      }
    }
  }
}

extension PacketProbe.Answer {
  fileprivate var isPositive: Bool {
    switch self {
    case .answered, .answeredSmall: true
    case .refused, .silent: false
    }
  }
}
