import Admission
import CommandLine
import Config
import Control
import DaemonKit
import Device
import DeviceHost
import Explain
import Identity
import Logging
import Noise
import Relay
import Store
import SystemIO
import Tun
import Wire

/// Carries out the relay's commands. Owned by the main thread.
final class RelayCommands {
  typealias Answer = @Sendable (ControlAnswer) -> Void

  // Set once.
  private let daemon: Daemon
  private let state: StateDirectory
  private let relay: Relay
  private let store: SQLiteStore
  private let host: HostDevice?
  private let hostID: String?
  private var device: Device? { host?.device }

  // Owned by the main thread.
  private(set) var isDraining = false
  /// Whether the relay asks the service manager for a restart after the drain.
  private var willRestart = false
  /// The answers of the programs that wait for the end of the drain.
  private var drainAnswers: [Answer] = []
  private var isCopying = false
  /// The settings in force.
  var settings: Settings.Relay
  private lazy var peers = PeerCommands(daemon, device) { [unowned self] in
    withPeers($0)
  } keys: { [unowned self] in
    withKeys($0)
  }
  private lazy var explanation = Explanation(daemon, device, peers) { [unowned self] name, reply in
    RelayReports.recall(name, daemon, relay, reply)
  } names: { [unowned self] in
    names
  }
  private lazy var changes = PeerChanges(daemon) { [unowned self] in withPeers($0) }

  /// `hostID` is the device ID of this host, if it is a device.
  init(
    _ settings: Settings.Relay, _ daemon: Daemon, _ state: StateDirectory, _ relay: Relay, _ store: SQLiteStore,
    _ host: HostDevice?, hostID: String?
  ) {
    self.settings = settings
    self.daemon = daemon
    self.state = state
    self.relay = relay
    self.store = store
    self.host = host
    self.hostID = hostID
  }

  private var names: NamesReport {
    guard let host else { preconditionFailure("only a device looks names up") }
    return host.names.report
  }

  /// `answer` is called once, on any thread.
  func carryOut(_ command: ControlCommand, _ answer: @escaping Answer) {
    switch command {
    case .status:
      RelayReports.status(daemon, relay, host) { answer(.report($0)) }
    case .peers, .fetch, .show, .ping: peers.carryOut(command, answer)
    case .explain(let peer, let milliseconds):
      explanation.explain(peer, within: .milliseconds(milliseconds), answer)
    case .subscribe:
      changes.begin { answer(.report(PeerEventReport(.snapshot, time: Int(UnixTime.now()), report: $0))) }
    case .key:
      let key = relay.publicKey
      answer(.report(KeyReport(role: .relay, key: KeyText.relay.text(key.bytes), fingerprint: key.fingerprint)))
    case .rotateKey(let forgetOld):
      rotateKey(forgetOld: forgetOld, answer)
    case .invite(let order):
      invite(order, answer)
    case .invites:
      relay.invites { answer(ControlAnswer($0) { InvitesReport($0.map { $0.report(at: UnixTime.now()) }) }) }
    case .uninvite(let id):
      relay.revokeInvite(id) { answer(ControlAnswer($0) { InvitesReport([$0.report(at: UnixTime.now())]) }) }
    case .pending:
      answer(.report(PendingReport(relay.pending.map { PendingReport.Device($0) })))
    case .approve(let name):
      relay.approve(name) { answer(ControlAnswer(waiting: $0)) }
    case .deny(let name):
      answer(ControlAnswer(waiting: Result { () throws(OperatorError) in try relay.deny(name) }))
    case .devices(let name):
      devices(named: name, answer)
    case .leases:
      relay.leases { answer(ControlAnswer($0) { LeasesReport($0.map { LeasesReport.Lease($0) }) }) }
    case .revoke(let name):
      relay.revoke(name, sparing: hostID) {
        answer(ControlAnswer($0) { DevicesReport([DevicesReport.Device($0, nil)]) })
      }
    case .forget(let name):
      relay.forget(name, sparing: hostID) {
        answer(ControlAnswer($0) { DevicesReport($0.map { DevicesReport.Device($0, nil) }) })
      }
    case .pinLease(let name, let text):
      pinLease(name, text, answer)
    case .freeLease(let name):
      relay.freeLease(name) { answer(ControlAnswer(lease: $0)) }
    case .drain(let milliseconds, let restart):
      if restart { willRestart = true }
      drain(within: .milliseconds(milliseconds), answer)
    case .backup: backup(answer)
    case .announce(let order):
      announce(order, answer)
    case .stop, .reload, .logLevel, .diagnostics, .metrics:
      preconditionFailure("Daemon carries that out itself")
    }
  }

  /// Gives the metrics to `reply`, on any thread.
  func metrics(peerLimit: Int, _ reply: @escaping @Sendable (MetricsReport) -> Void) {
    relay.status(on: daemon.events) { [relay, device] status in
      let report = MetricsReport(status, pending: relay.pending.count, peerLimit: peerLimit)
      guard let device else { return reply(report) }
      device.status { status in
        var report = report
        report.add(MetricsReport(status, peerLimit: peerLimit))
        reply(report)
      }
    }
  }

  /// Gives all known devices to `reply`, on the main thread.
  private func withPeers(_ reply: @escaping (PeersReport) -> Void) {
    let reply = LoopBound(reply)
    relay.status(on: daemon.events) { [daemon, device] status in
      let finish = { @Sendable (own: DeviceStatus?) in
        daemon.events.post { reply.value(RelayReports.peers(status, own)) }
      }
      if let device { device.status { finish($0) } } else { finish(nil) }
    }
  }

  /// Gives the keys of the connected devices, on the main thread.
  private func withKeys(_ reply: @escaping ([IPv4Address: PublicKey]) -> Void) {
    let reply = LoopBound(reply)
    relay.status(on: daemon.events) { [daemon] status in
      let keys = Dictionary(status.sessions.map { ($0.address, $0.key) }) { first, _ in first }
      daemon.events.post { reply.value(keys) }
    }
  }

  /// Called when the relay's own device has reported a change of its peers.
  func noticeChanges() {
    changes.notice()
  }

  private func announce(_ order: AnnounceOrder, _ answer: Answer) {
    guard let host else {
      return answer(
        .failed(
          ControlError(
            .unsupported,
            "this relay's host is no device (relay.device, --no-device), so it tells nobody anything; ask "
              + "mnedc-join, on a host where it runs")))
    }
    host.announce(order, answer)
  }

  /// Programs get their answers when the drain is over, just before the daemon ends.
  private func drain(within limit: Duration, _ answer: @escaping Answer) {
    drainAnswers.append(answer)
    guard !isDraining else { return }
    isDraining = true
    let commands = LoopBound(self)
    relay.drain(within: limit) { [daemon] outcome in
      daemon.events.post { commands.value.endDrain(outcome) }
    }
    let time = ValueKind<Duration>.drainTime.text(limit)
    daemon.logger.notice("draining: nobody new is let in, and what is under way has \(time) to arrive")
    // The service manager's timeout begins with STOPPING=1.
    let patience = (limit + Self.timeToEnd).nanoseconds / 1000
    notifyServiceManager("STOPPING=1\nSTATUS=draining")
    notifyServiceManager("EXTEND_TIMEOUT_USEC=\(patience)")
  }

  private func endDrain(_ outcome: DrainOutcome) {
    let seconds = outcome.duration.roundedSeconds
    let report = DrainReport(sessions: outcome.sessions, cutOff: outcome.cutOff, duration: seconds)
    for answer in drainAnswers { answer(.report(report)) }
    drainAnswers = []
    let line = "drained in \(seconds) s: \(Table.count(outcome.sessions, "session")), \(outcome.cutOff) of them cut off"
    guard willRestart else { return daemon.stop(line) }
    daemon.logger.notice("\(line)")
    daemon.fail(
      Failure(.restart, "ends with status \(ExitStatus.restart.rawValue), by which a service manager starts it again"))
  }

  private static let timeToEnd = Duration.seconds(30)

  /// A thread makes the copy. The tool gets the copy as an open file, because this process may not write to every path
  /// that root can name.
  private func backup(_ answer: @escaping Answer) {
    guard !isCopying else {
      return answer(.failed(ControlError(.busy, "another backup is being made; try again when it is done")))
    }
    isCopying = true
    let keys = ["relay.key", "relay.keys.former", "device.key"].map { state.file($0) }.filter {
      (try? exists($0)) == true
    }
    let commands = LoopBound(self)
    SystemThread.detach(name: "backup") { [daemon, store] in
      let result = Result { () throws(StoreError) in try store.copy() }
      daemon.events.post {
        commands.value.isCopying = false
        switch result {
        case .success(let copy):
          daemon.logger.notice("a backup of \(copy.path) was made: \(copy.size) bytes")
          let report = BackupReport(
            bytes: copy.size, devices: copy.devices, leases: copy.leases, invites: copy.invites, database: copy.path,
            keys: keys)
          answer(.file(report, copy.file))
        case .failure(let error):
          daemon.logger.error("no backup was made: \(error)")
          answer(.failed(ControlError(.failed, "no backup was made: \(error)")))
        }
      }
    }
  }

  /// Stores the new key before it tells any device. Old invites name the old key. Whoever stole that key could
  /// impersonate the relay, so `forgetOld` revokes them.
  private func rotateKey(forgetOld: Bool, _ answer: @escaping Answer) {
    do {
      let file = KeyFile.relay(in: state)
      let former = FormerKeys(in: state)
      let next = try file.loadOrCreateNext { PrivateKey().bytes }
      if !forgetOld, let old = try file.load() { try former.add(old) }
      try file.promoteNext()
      if forgetOld { try former.removeAll() }
      daemon.noteWriting("a new key", nil)
      guard let key = PrivateKey(next) else { preconditionFailure("any 32 bytes are a key") }
      relay.replaceKey(with: key, forgettingOld: forgetOld)
      let fingerprint = key.publicKey.fingerprint
      daemon.logger.notice("the relay has the key \(fingerprint) from now on")
      let report = KeyReport(role: .relay, key: KeyText.relay.text(key.publicKey.bytes), fingerprint: fingerprint)
      guard forgetOld else { return answer(.report(report)) }
      relay.revokeInvites { result in
        switch result {
        case .success(let count):
          var report = report
          report.revokedInvites = count
          answer(.report(report))
        case .failure(let error):
          answer(
            .failed(
              ControlError(
                .failed,
                "the relay has the key \(fingerprint) from now on, but its invites, which name the old one, cannot "
                  + "be revoked: \(error); revoke them (mnedc-ctl invites, mnedc-ctl uninvite)")))
        }
      }
    } catch {
      daemon.noteWriting("a new key", error)
      answer(.failed(ControlError(.failed, "the relay keeps its key: \(error)")))
    }
  }

  private func invite(_ order: InviteOrder, _ answer: @escaping Answer) {
    let key = relay.publicKey.bytes
    let servers: [String]
    do throws(ControlError) {
      if let id = order.deviceID, !DeviceID.isValid(id) {
        throw ControlError(.badRequest, "device_id is \(ValueKind<String>.deviceID.rule)")
      }
      servers = try InviteServers.servers(
        order.servers, settings, listening: relay.addresses,
        outside: HostNetwork.Prefix.pools(relay.network.pool.prefix, relay.network.pool6))
      _ = try InviteServers.text(key, [UInt8](repeating: 0, count: Token.size), servers)
    } catch {
      return answer(.failed(error))
    }
    relay.createInvite(uses: order.uses, lifetime: Int64(order.lifetime), deviceID: order.deviceID) { result in
      switch result {
      case .success(let (invite, token)):
        do throws(ControlError) {
          let text = try InviteServers.text(key, token.bytes, servers)
          answer(
            .report(
              NewInviteReport(
                invite: text.description, id: invite.id, uses: invite.usesTotal, expiresAt: Int(invite.expiresAt),
                deviceId: invite.deviceID, servers: servers)))
        } catch {
          answer(.failed(error))
        }
      case .failure(let error):
        answer(.failed(ControlError(error)))
      }
    }
  }

  private func pinLease(_ name: String, _ text: String?, _ answer: @escaping Answer) {
    let address = text.flatMap { IPv4Address($0) }
    guard (text == nil) == (address == nil) else {
      return answer(.failed(ControlError(.badRequest, "address is an IPv4 address, four numbers from 0 to 255")))
    }
    relay.pinLease(of: name, to: address, sparing: hostID) { answer(ControlAnswer(lease: $0)) }
  }

  /// All devices, or the one that `name` means, but not this host.
  private func devices(named name: String?, _ answer: @escaping Answer) {
    relay.status(on: daemon.events) { [relay, hostID] status in
      let online = Dictionary(status.sessions.map { ($0.key, $0.address) }) { first, _ in first }
      @Sendable func report(_ records: [DeviceRecord]) -> DevicesReport {
        DevicesReport(
          records.map { record in
            var device = DevicesReport.Device(record, PublicKey(record.key).flatMap { online[$0] })
            // Former versions recorded this host as admitted by an open relay.
            if device.deviceId == hostID, device.status == .active { device.admittedBy = .host }
            return device
          })
      }
      guard let name else { return relay.devices { answer(ControlAnswer($0) { report($0) }) } }
      relay.device(named: name, sparing: hostID) { answer(ControlAnswer($0) { report([$0]) }) }
    }
  }
}
