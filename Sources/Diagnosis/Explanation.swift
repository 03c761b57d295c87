// A walk's measures, one after the other: who is meant → an echo of the relay → an echo of the peer → how the device, its interface and
// the kernel's routes are → what the relay remembers, on its own host → packets of the kernel → `PathWalk` judges.

internal import Config
public import Control
public import Device
public import Program
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

/// What a daemon does when it is asked to explain the path to a peer. Owned by the main thread.
public final class Explanation {
  public typealias Answer = @Sendable (ControlAnswer) -> Void

  /// What a relay knows beyond what a device does.
  public struct Recollection: Sendable {
    let memory: PathFacts.Memory
    let session: SessionReport?

    public init(memory: PathFacts.Memory, session: SessionReport?) {
      self.memory = memory
      self.session = session
    }
  }

  /// Gives what the relay knows of the device of that name, on the main thread.
  public typealias Recall = (String, @escaping (Recollection) -> Void) -> Void

  // Set once.
  private let events: EventLoop
  private let device: Device?
  private let peers: PeerCommands
  private let recall: Recall?

  private var running = 0

  /// Each takes a thread for a while.
  private static let maximum = 8

  /// `recall` is for a relay's own host.
  public init(_ daemon: Daemon, _ device: Device?, _ peers: PeerCommands, recall: Recall? = nil) {
    events = daemon.events
    self.device = device
    self.peers = peers
    self.recall = recall
  }

  /// Walks to the peer with that ID, name or address; each echo has a third of `limit`.
  public func explain(_ name: String, within limit: Duration, _ answer: @escaping Answer) {
    guard let device else {
      return answer(
        .failed(
          ControlError(
            .unsupported, "this relay is no device (relay.device), so no path begins here; ask on one of the devices")))
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

  private typealias Measured = (Duration?, PingOutcome?, DeviceStatus) -> Void

  /// The echoes, and then how the device is.
  private func measure(
    _ device: Device, _ peer: PeersReport.Peer?, within patience: Duration, _ next: @escaping Measured
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
    var facts = PathFacts(
      name: name, peer: found, interface: interface(of: status, peer),
      uplink: PathFacts.Uplink(
        isLocal: isLocal, joined: status.joinedSince.map { now.since($0).roundedSeconds }, server: status.server,
        progress: status.progress, lastLoss: status.lastLoss, lost: status.lostAt.map { now.since($0).roundedSeconds },
        wasTurnedAway: status.wasTurnedAway))
    facts.uplink.lastLossWasAttempt = status.lastLossWasAttempt
    facts.uplink.applicant = status.pendingKey.map { key in
      PathFacts.Applicant(deviceID: status.deviceID, fingerprint: key.fingerprint)
    }
    facts.relay.version = status.relayVersion
    facts.relay.link = LinkReport(received: status.received, sent: status.sent, queue: status.queue)
    let known = status.peers.first { $0.peer.address.description == peer?.address }
    facts.session = known?.sessionSince.map { now.since($0).roundedSeconds }
    return facts
  }

  /// The kernel answers at once.
  private static func interface(of status: DeviceStatus, _ peer: PeersReport.Peer?) -> PathFacts.Interface {
    var facts = PathFacts.Interface(
      name: status.interface, state: nil, address: status.address, pool: status.pool)
    do {
      facts.state = try InterfaceState.look(at: status.interface)
    } catch {
      facts.problem = "how \(status.interface) is cannot be told: \(error)"
    }
    // Without an address, this host has no business with the others.
    guard status.address != nil else { return facts }
    let relay = status.relayAddress == status.address ? nil : status.relayAddress
    facts.target = peer.flatMap { IPv4Address($0.address) } ?? relay
    guard let target = facts.target, let place = SocketAddress(numeric: "\(target)", port: 0),
      var finder = try? PathFinder()
    else { return facts }
    let path = finder.path(to: place)
    facts.route = PathFacts.Route(
      interface: path.map { interfaceName(of: $0.interface) ?? "an interface that is gone" },
      source: path.flatMap {
        $0.source.count == 4 ? IPv4Address(bits: $0.source.reduce(0) { $0 << 8 | UInt32($1) }) : nil
      }
    )
    return facts
  }

  /// Adds what the relay knows, where this is its host.
  private func remember(_ facts: PathFacts, _ next: @escaping (PathFacts) -> Void) {
    guard let recall else { return next(facts) }
    var facts = facts
    switch facts.peer {
    case .host: next(facts)
    case .known(let peer, _):
      recall(peer.deviceId) { known in
        facts.peer = .known(peer, session: known.session)
        next(facts)
      }
    case .absent(var absence):
      recall(facts.name) { known in
        absence.memory = known.memory
        facts.peer = .absent(absence)
        next(facts)
      }
    }
  }

  /// Sends packets of the kernel where all else works.
  private func probe(_ facts: PathFacts, within patience: Duration, _ next: @escaping (PathFacts) -> Void) {
    guard case .known(let peer, _) = facts.peer, PathWalk.report(facts).works, let device,
      let target = SocketAddress(numeric: peer.address, port: 0)
    else { return next(facts) }
    let goOn = LoopBound(next)
    device.status { [events] before in
      SystemThread.detach(name: "packet-probe") {
        let answer = PacketProbe.probe(target, until: Instant.now().advanced(by: patience))
        device.status { after in
          events.post {
            var facts = facts
            facts.packets = PathFacts.Packets(answer)
            facts.traffic = PathFacts.Traffic(
              sent: after.counters.sent - before.counters.sent,
              received: after.counters.received - before.counters.received)
            goOn.value(facts)
          }
        }
      }
    }
  }
}

extension PathFacts.Packets {
  fileprivate init(_ answer: PacketProbe.Answer) {
    self =
      switch answer {
      case .answered: .answered
      case .refused(let error): .refused(error)
      case .silent(let triedEcho): .silent(triedEcho: triedEcho)
      }
  }
}
