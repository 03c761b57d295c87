internal import CommandLine
public import Config
public import Control
public import DaemonKit
public import Device
internal import Noise
internal import SystemIO
public import Wire

/// Carries out the commands about peers. Owned by the main thread.
public final class PeerCommands {
  public typealias Answer = @Sendable (ControlAnswer) -> Void

  // Set once.
  private let events: EventLoop
  private let device: Device?
  private let domain: String
  private let look: (@escaping (PeersReport) -> Void) -> Void
  private let keys: (@escaping ([IPv4Address: PublicKey]) -> Void) -> Void

  /// `look` gives all peers, and `keys` their keys, on the main thread. `device` asks peers; `nil` on a relay without
  /// one. `network` is the name of the network, if the host has several.
  public init(
    _ daemon: Daemon, _ device: Device?, network: NetworkName? = nil,
    look: @escaping (@escaping (PeersReport) -> Void) -> Void,
    keys: @escaping (@escaping ([IPv4Address: PublicKey]) -> Void) -> Void
  ) {
    domain = HostLabel.domain(of: network?.description)
    events = daemon.events
    self.device = device
    self.look = look
    self.keys = keys
  }

  /// Carries out `peers`, `fetch`, `show` or `ping`.
  public func carryOut(_ command: ControlCommand, _ answer: @escaping Answer) {
    switch command {
    case .peers: peers(answer)
    case .fetch(let milliseconds): fetch(within: .milliseconds(milliseconds), answer)
    case .show(let peer, let milliseconds): show(peer, within: .milliseconds(milliseconds), answer)
    case .ping(let peer, let milliseconds): ping(peer, within: .milliseconds(milliseconds), answer)
    default: preconditionFailure("\(command.kind.name) is no command about peers")
    }
  }

  private func peers(_ answer: @escaping Answer) {
    look { answer(.report($0)) }
  }

  /// Asks the peers whose information is not known.
  private func fetch(within limit: Duration, _ answer: @escaping Answer) {
    look { [self] report in
      fetch(report.peers.filter { $0.revision == nil }, within: limit) { [self] in peers(answer) }
    }
  }

  /// Shows one peer, and asks it first if its information is not known.
  private func show(_ name: String, within limit: Duration, _ answer: @escaping Answer) {
    find(name, answer) { [self] peer in
      fetch(peer.revision == nil ? [peer] : [], within: limit) { [self] in
        look { report in
          var report = report
          report.peers = report.peers.filter { $0.address == peer.address }
          answer(.report(report))
        }
      }
    }
  }

  private func ping(_ name: String, within limit: Duration, _ answer: @escaping Answer) {
    guard let device else {
      return answer(
        .failed(
          ControlError(
            .unsupported, "this relay is no device (relay.device), and only devices can ping; ask on one of them")))
    }
    find(name, answer) { peer in
      guard let address = IPv4Address(peer.address) else { return }
      device.ping(address, within: limit) { outcome in
        device.status { status in answer(Self.answer(outcome, peer, server: status.server)) }
      }
    }
  }

  // MARK: Steps

  /// Finds the peer with that ID, name or address, or else with a fingerprint that begins so. Answers with an error if
  /// there is none, or more than one.
  private func find(_ name: String, _ answer: @escaping Answer, _ body: @escaping (PeersReport.Peer) -> Void) {
    search(name) { [self] name, peer, report in
      if let peer { return body(peer) }
      guard let start = KeyText.fingerprintStart(name) else { return answer(.failed(Self.notFound(name, report))) }
      keys { keys in
        let fingerprints = keys.mapValues(\.fingerprint).filter { $0.value.hasPrefix(start) }
        let matches = report.peers.compactMap { peer in
          IPv4Address(peer.address).flatMap { fingerprints[$0] }.map { (peer: peer, fingerprint: $0) }
        }
        if matches.count == 1 { return body(matches[0].peer) }
        guard !matches.isEmpty else { return answer(.failed(Self.notFound(name, report))) }
        let names = matches.map { "\($0.peer.deviceId) (\($0.fingerprint))" }.joined(separator: ", ")
        answer(
          .failed(
            ControlError(.notFound, "\(name) means several peers; name one by more of its fingerprint: \(names)")))
      }
    }
  }

  /// Finds the peer with that ID, name or address, and gives it to `body` with all peers, on the main thread. In a
  /// large network it asks the relay. `body` gets the name without the networks' own domain.
  public func search(_ name: String, _ body: @escaping (String, PeersReport.Peer?, PeersReport) -> Void) {
    let suffix = ".\(domain)"
    let name = name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name
    look { [self] report in
      let peer = report.peers.first { $0.is(name) }
      guard peer == nil, !report.complete, let device, DeviceID.isValid(name) else { return body(name, peer, report) }
      let goOn = LoopBound { self.look { report in body(name, report.peers.first { $0.is(name) }, report) } }
      device.locate(label: HostLabel.label(of: name), within: Self.searchTime) { [events] _ in
        events.post { goOn.value() }
      }
    }
  }

  /// The relay's time to answer a search.
  private static let searchTime = Duration.seconds(2)

  /// Why no peer of the report has this name.
  static func notFound(_ name: String, _ report: PeersReport) -> ControlError {
    let isHost = report.`self`.map { $0.deviceId == name || $0.address == name } ?? false
    if let why = report.disconnected, !isHost {
      return ControlError(
        .failed,
        "this host has no connection to the relay, and knows no peer \(name.harmless) from before: \(why.harmless); "
          + "mnedc-ctl netcheck finds out more")
    }
    let rest =
      report.complete
      ? "mnedc-peers lists the known ones"
      : "in this large network this host lists only the peers that it communicates with; the relay lists all"
    let what =
      isHost ? "\(name) is this host itself" : "no peer has the ID, name, address or fingerprint \(name.harmless)"
    return ControlError(.notFound, "\(what); \(rest)")
  }

  /// Asks these peers, and calls `next` when they have answered or the time is over.
  private func fetch(_ peers: [PeersReport.Peer], within limit: Duration, _ next: @escaping () -> Void) {
    let addresses = peers.compactMap { $0.state == .untrusted ? nil : IPv4Address($0.address) }
    guard let device, !addresses.isEmpty else { return next() }
    let next = LoopBound(next)
    device.fetch(addresses, within: limit) { [events] _ in events.post { next.value() } }
  }

  private static func answer(_ outcome: PingOutcome, _ peer: PeersReport.Peer, server: String?) -> ControlAnswer {
    func report(_ time: Duration?) -> ControlAnswer {
      .report(
        PingReport(
          address: peer.address, deviceId: peer.deviceId, roundTripMs: time?.milliseconds, path: peer.path ?? "relay",
          server: peer.remote == nil ? server : nil, remote: peer.remote))
    }
    switch outcome {
    case .answered(let time): return report(time)
    case .silent: return report(nil)
    case .unknownPeer:
      return .failed(ControlError(.notFound, "\(peer.deviceId) has just left; mnedc-peers lists the connected ones"))
    case .untrusted(let why):
      return .failed(ControlError(.failed, "nothing is exchanged with \(peer.deviceId): \(why)"))
    case .busy:
      return .failed(ControlError(.busy, "too many pings are under way; try again"))
    case .noRelay:
      return .failed(
        ControlError(.failed, "this host has no connection to the relay now; mnedc-ctl status says why"))
    }
  }
}

extension PeersReport.Peer {
  /// Whether `name` is this peer's ID, label or one of its addresses.
  public func `is`(_ name: String) -> Bool {
    if name == deviceId || name == address || name == address6 { return true }
    return HostLabel.label(of: deviceId) == name.lowercased()
  }
}
