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
import SystemIO
import SystemPackage
import Tun
import Wire

/// The device and its wiring. Owned by the main thread; the device reports events on its own thread.
final class DeviceDaemon: @unchecked Sendable {
  // Set once.
  private let settings: Settings
  /// The name of the network, if the host has several.
  private let network: NetworkName?
  private let identity: DeviceIdentity
  private let deviceID: String
  private let daemon: Daemon
  private let state: StateDirectory
  private let trust: KnownRelayTrust
  private let rotation: KeyRotation
  private let isReset: Bool

  // Owned by the main thread.
  private var host: HostDevice?
  private var device: Device? { host?.device }
  private lazy var peers = PeerCommands(daemon, device, network: network) { [unowned self] reply in
    host?.status { reply(PeersReport($0)) }
  } keys: { [unowned self] reply in
    host?.status { reply(Dictionary($0.peers.map { ($0.peer.address, $0.peer.key) }) { first, _ in first }) }
  }
  private lazy var explanation = Explanation(daemon, device, peers) { [names] in names.report }
  private let names: NameService
  private var publicKey: PublicKey
  /// The change that the first join makes in the configuration file, and the place of the file.
  private var update: FileUpdate
  private var place: FileUpdate.Place?
  private var hasJoined = false
  private var isJoined = false
  /// Whether the time limit of the first join runs (not while a person has to act), and how often it has started.
  private var isLimited = false
  private var attempts = 0
  private var lastLoss: UplinkLoss?
  private var collisionReminder = Reminder(every: .seconds(600))
  /// Whether the relay is to undo the admission when this device ends.
  private var declines = false
  /// The address of the last lease.
  private var address: IPv4Address?
  /// Set until the device has joined, and only on a terminal.
  private var progress: JoinProgress?
  /// The line about the first join, until the terminal has shown all steps.
  private var joinedLine: String?
  /// The process that waits for the first join; `nil` in the foreground, and once joined.
  private var foreground: Foreground?

  /// How long the first echo may delay the line about the join.
  private static let echoPatience = Duration.seconds(2)

  /// Opens everything that the system can refuse: the interface, the state directory, the local socket. Then drops all
  /// privileges but those to change the interface and to answer DNS queries.
  ///
  /// `reread` gives the settings of a daemon started now.
  init(
    _ settings: Settings, _ network: NetworkName?, _ invitation: Invitation?, _ update: FileUpdate, isReset: Bool,
    isInBackground: Bool,
    access: HostAccess = HostAccess(),
    reread: @escaping () throws -> Settings
  ) throws {
    self.settings = settings
    self.network = network
    self.update = update
    self.isReset = isReset
    daemon = try Daemon("mnedc-join", level: settings.logLevel)
    if isInBackground {
      foreground = try Foreground(on: daemon.events) { [daemon] in
        daemon.stop("nobody waits for this device to join any more")
      }
    }
    try Daemon.checkIsFirst(at: settings.join.socket)
    let hostRelay = HostRelay(settings)
    try hostRelay?.check(settings)
    names = NameService(settings.join, interface: settings.join.interface, network: network, daemon)
    names.removeStaleBlocks()
    let tun: any PacketDevice
    do {
      tun = try access.makeInterface(settings.join.interface, settings.join.offload == .auto)
    } catch {
      if case .nameTaken(let name) = error,
        let claim = hostRelay.map({ $0.claim(on: name) }) ?? HostRelay.claim(on: name, settings)
      {
        throw Failure(.cannotCreate, claim)
      }
      throw Failure(error)
    }
    do {
      state = try StateDirectory(settings.join.state)
    } catch {
      throw Failure(error)
    }
    let identity = try DeviceIdentity(
      in: state, configured: settings.deviceID, isReset: isReset, warn: daemon.warnLater)
    self.identity = identity
    var isMade = false
    // Otherwise the next start without --reset would offer the new key to the former relay.
    defer { if !isMade { try? identity.giveUpReset() } }
    let key = identity.key
    deviceID = identity.deviceID
    publicKey = key.publicKey
    if let former = identity.lostID {
      daemon.warnLater(
        "\(KeyFile.device(in: state).path) is missing, so this device has a new key now; the relay knows \(former) by "
          + "the former one and refuses the new one under this ID; \(Self.advice(forLost: former))")
    }
    self.update.add(deviceID: deviceID)
    progress = JoinProgress(daemon, deviceID: deviceID)
    do {
      trust = try KnownRelayTrust(
        pinned: settings.serverKeys, isInvited: invitation?.bringsKey ?? false, isReset: isReset, in: state,
        warn: daemon.warnLater)
    } catch {
      throw Failure(error)
    }
    rotation = KeyRotation(daemon, state, deviceID: deviceID)
    var deviceSettings = DeviceSettings(
      deviceID: deviceID, peers: PeerSettings(key: key, settings.join), trust: trust,
      route: .servers(Self.servers(settings)))
    deviceSettings.token = invitation?.token
    deviceSettings.address = settings.join.address
    deviceSettings.mtu = settings.join.mtu
    deviceSettings.nextKey = identity.nextKey
    deviceSettings.offersNextKey = !identity.isNextOfReset
    deviceSettings.hasJoined = identity.hasJoined
    if settings.join.direct == .auto {
      deviceSettings.direct = DirectSettings(
        port: UInt16(settings.join.directPort), maximumOffline: settings.join.directMaxOffline)
    }
    deviceSettings.choosesCongestionControl = settings.join.congestionControl == .auto
    host = try HostDevice(deviceSettings, tun, settings.join, in: state, names, daemon)
    host?.onPeerEvent = { [daemon] in daemon.publish($0) }
    host?.onEvent = { [unowned self] in handle($0) }
    try daemon.listen(at: settings.join.socket)
    daemon.serveMetrics(at: settings.metrics.listen)
    do {
      try access.keepOnly(NameService.capabilities(settings.join).union([.netAdmin]))
    } catch {
      throw Failure(error)
    }
    if self.update.isRequired { place = try self.update.place() }
    daemon.serve(Reloading(.device, inForce: settings, read: reread) { [unowned self] in apply($0) }) {
      [unowned self] command, answer in
      carryOut(command, answer)
    } metrics: { [unowned self] peerLimit, reply in
      device?.status { reply(MetricsReport($0, peerLimit: peerLimit)) }
    }
    isMade = true
  }

  /// Logs a line about the start when the loop runs.
  func note(_ line: String) {
    daemon.events.post { [daemon] in daemon.logger.notice("\(line)") }
  }

  private static func servers(_ settings: Settings) -> [(host: String, port: UInt16)] {
    settings.servers.map { ($0.host, $0.port) }
  }

  /// Applies the settings that may change while the device runs.
  private func apply(_ settings: Settings) {
    host?.apply(settings.join) { $0.servers = Self.servers(settings) }
  }

  /// Carries out a command from the local socket.
  private func carryOut(_ command: ControlCommand, _ answer: @escaping @Sendable (ControlAnswer) -> Void) {
    switch command {
    case .status:
      let (report, names) = (daemon.statusReport(.device), names.report)
      device?.status { status in
        var report = report
        report.device = DeviceReport(status, names)
        answer(.report(report))
      }
    case .peers, .fetch, .show, .ping: peers.carryOut(command, answer)
    case .explain(let peer, let milliseconds):
      explanation.explain(peer, within: .milliseconds(milliseconds), answer)
    case .subscribe:
      host?.status { answer(.report(PeerEventReport(.snapshot, time: Int(UnixTime.now()), report: PeersReport($0)))) }
    case .key:
      answer(
        .report(
          KeyReport(
            role: .device, deviceId: deviceID, key: KeyText.device.text(publicKey.bytes),
            fingerprint: publicKey.fingerprint)))
    case .rotateKey(let forgetOld):
      guard !forgetOld else {
        return answer(
          .failed(
            ControlError(
              .unsupported,
              "this is a device, and --forget-old is for a relay: nobody takes a device's old key once it has a new "
                + "one; leave it out"
            )))
      }
      rotation.begin(device, isJoined: isJoined, answer)
    case .announce(let order):
      host?.announce(order, answer)
    default:
      preconditionFailure("Daemon carries \(command.kind.name) out itself, or refuses it")
    }
  }

  /// Keeps the device joined until told to stop. Throws if the first join fails.
  func run() throws {
    host?.start()
    limitFirstJoin()
    daemon.tell("joining through \(settings.servers.map(\.description).joined(separator: " or "))")
    daemon.prove { [device] done in device?.prove { done(nil) } }
    try daemon.run {
      host?.stop(declining: declines)
      if !hasJoined { try? identity.giveUpReset() }
    }
  }

  /// Starts the time limit of the first join, if it does not run.
  private func limitFirstJoin() {
    guard !hasJoined, !isLimited else { return }
    isLimited = true
    attempts += 1
    let attempt = attempts
    daemon.events.schedule(after: settings.join.timeout) { [self] in
      if !hasJoined, isLimited, attempt == attempts { giveUp() }
    }
  }

  private func giveUp() {
    let time = ValueKind<Duration>.joinTimeout.text(settings.join.timeout)
    switch lastLoss {
    case .refused, .collision, .distrusted, .publicPool:
      daemon.fail(Failure(.temporaryFailure, "could not join within \(time): \(lastLoss?.description ?? "")"))
    case .unreachable, .broken, nil:
      device?.status { [daemon] status in
        let why = status.lastLoss ?? status.progress
        daemon.fail(
          Failure(
            .unavailable,
            "could not join within \(time): \(why); check that the server is right (--server), that mnedcd runs "
              + "there, and that its port is open"))
      }
    }
  }

  private func handle(_ event: DeviceEvent) {
    switch event {
    case .reached(let step, let time):
      progress?.take(step, at: time)
      if case .echo = step { endProgress() }
    case .joined(let address, let pool, let server): joined(address, pool, server)
    case .networkChanged(let pool, let pool6):
      daemon.logger.notice("the network is \(pool)\(pool6.map { " and \($0)" } ?? "") from now on")
    case .collided(let collision):
      // The end of an attempt to join reports the collision, too.
      if isJoined { host?.log(collision) }
    case .collisionEnded(let collision):
      collisionReminder.reset()
      host?.logEnd(of: collision)
    case .lost(let loss, let retry): lost(loss, retry)
    case .pending(let server): pending(server)
    case .draining(let server):
      daemon.logger.notice(
        "the relay at \(server) is about to end; this device sends nothing until it has a relay again")
    case .trusted(let key, let server):
      trusted(key, server)
    case .keyReplaced(let key):
      publicKey = key
      if identity.isNextOfReset, key == identity.nextKey?.publicKey {
        completeReset()
      } else {
        rotation.end(with: key)
      }
    case .keyKept(let refusal?):
      rotation.end(refusal)
    case .keyKept(nil):
      try? identity.dropInterruptedReset()
    // HostDevice has handled these.
    case .located, .peers, .interfaceChanged, .notice, .warning, .failed: break
    }
  }

  /// A relay shows its key before it admits a device, and announces a new one to connected devices.
  private func trusted(_ key: PublicKey, _ server: String) {
    daemon.logger.notice(
      isJoined
        ? "the relay at \(server) has replaced its key by \(key.fingerprint), which is kept in \(state.path)"
        : """
        the relay at \(server) is met for the first time; its key \(key.fingerprint) (there, mnedc-ctl key shows it) \
        is trusted from now on, and kept in \(KnownRelays(in: state).path)
        """)
  }

  private func joined(_ address: IPv4Address, _ pool: IPv4Prefix, _ server: String) {
    if hasJoined, !isJoined { daemon.publish(PeerEventReport(.uplinkBack, time: Int(UnixTime.now()))) }
    if !hasJoined {
      do throws(Failure) {
        try settleFirstJoin()
      } catch {
        declines = true
        return daemon.fail(error)
      }
    }
    if let former = self.address, former != address {
      daemon.logger.warning(
        "the relay has given this device \(address) in place of \(former); its open connections are lost"
      )
    }
    self.address = address
    do {
      try identity.remember()
    } catch {
      daemon.logger.warning("the device ID cannot be stored, so it changes if this host is renamed: \(error)")
    }
    let line = "joined \(pool) as \(deviceID) at \(address) through \(server)"
    hasJoined = true
    isJoined = true
    isLimited = false
    joinedLine = line
    if progress == nil { tellOfJoin() }
    daemon.events.schedule(after: Self.echoPatience) { [self] in endProgress() }
    daemon.becomeReady(line)
  }

  /// Writes the results of this join to the configuration and the state directory.
  private func settleFirstJoin() throws(Failure) {
    if let problem = update.problem { daemon.logger.warning("\(problem)") }
    update.addServerKey { trust.expectedKey(of: $0)?.bytes }
    do throws(Failure) {
      if !update.isRequired { place = try update.place() }
      if let place {
        try update.write(to: place)
        daemon.updateSettingsInForce { update.complete(&$0) }
      }
      trust.noteConfigured(place == nil ? [] : update.newServerKeys)
    } catch {
      guard !update.isRequired else { throw error }
      daemon.logger.notice("\(error.message); until then, give --server and --device-id at each start")
    }
    if isReset { completeReset() }
  }

  private func completeReset() {
    do {
      try identity.completeReset()
    } catch {
      daemon.logger.error("the new key is in use, but not in its file, which the next start corrects: \(error)")
    }
  }

  /// Called when the terminal has shown all steps, or if the first echo takes too long.
  private func endProgress() {
    progress = nil
    tellOfJoin()
  }

  private func tellOfJoin() {
    guard let line = joinedLine else { return }
    joinedLine = nil
    if let foreground {
      daemon.output.useSystemLog()
      foreground.becomeReady(line)
      self.foreground = nil
    }
    daemon.logger.notice("\(line)")
  }

  /// Called if an operator has to admit this device, which may take longer than the limit of the first join.
  private func pending(_ server: String) {
    isLimited = false
    if let progress {
      progress.wait(forOperatorToAdmit: publicKey)
    } else {
      daemon.logger.notice(
        """
        waiting until an operator of the relay at \(server) lets \(deviceID) (\(publicKey.fingerprint)) in; there: \
        mnedc-ctl approve \(deviceID)
        """)
    }
    daemon.tell("waiting for an operator of \(server) to let \(deviceID) in")
  }

  private func lost(_ loss: UplinkLoss, _ retry: Duration) {
    if isJoined { daemon.publish(PeerEventReport(.uplinkLost, time: Int(UnixTime.now()))) }
    isJoined = false
    lastLoss = loss
    // Before the first join, a refusal is final. Later, the relay may decide otherwise, or be another relay.
    if !hasJoined, let failure = failure(after: loss) { return daemon.fail(failure) }
    var isWorthALine = true
    if case .collision = loss, foreground == nil {
      // This device was in the network before, so its host will probably leave the other network.
      isLimited = false
      isWorthALine = collisionReminder.isDue("\(loss)", at: .now())
    } else {
      limitFirstJoin()
    }
    progress?.lose()
    if hasJoined { endProgress() } else if foreground != nil { progress?.retry(after: loss.description) }
    // The waiting process reports a failed join once.
    let level: Logger.Level = foreground == nil && isWorthALine ? .warning : .debug
    daemon.logger.log(
      level: level, "\(loss); trying again in \(Int(retry.milliseconds)) ms", metadata: [LogOutput.subject: "\(loss)"])
    daemon.tell("\(loss)")
  }

  private static func advice(forLost id: String) -> String {
    "restore device.key from a backup, or have the relay's operator free the ID (`mnedc-ctl revoke \(id)`) and join "
      + "with a new invite"
  }

  /// The failure that ends the first join; `nil` to try again.
  private func failure(after loss: UplinkLoss) -> Failure? {
    switch loss {
    case .refused(let refusal) where refusal.code == .deviceIDTaken && identity.lostID == deviceID:
      Failure(
        .unavailable,
        "the relay does not let this device in: it knows \(deviceID) by another key, probably the one that this "
          + "device has lost; \(Self.advice(forLost: deviceID))")
    case .refused(let refusal)
    where refusal.code == .deviceIDTaken && update.fileNamesDevice && !identity.hasJoined:
      Failure(
        .unavailable,
        "the relay does not let this device in: another device has the ID \(deviceID), which \(update.path) gives "
          + "(device-id); if this machine is a copy of that device, give it an ID of its own (--device-id), which "
          + "replaces that in the file; if it is that device and has lost its key, \(Self.advice(forLost: deviceID))")
    case .refused(let refusal) where refusal.code == .deviceIDTaken && identity.isOfMachine:
      Failure(
        .unavailable,
        "the relay does not let this device in: another device has the ID \(deviceID), which comes from the host name "
          + "and /etc/machine-id; this machine is probably a copy of that one: give it an ID of its own "
          + "(--device-id), or empty /etc/machine-id and run systemd-machine-id-setup")
    case .refused(let refusal) where !refusal.isPassing:
      Failure(.unavailable, "the relay does not let this device in: \(refusal.text)")
    case .distrusted(let problem): Failure(.noPermission, problem.description)
    case .publicPool: Failure(.configuration, loss.description)
    case .collision(let collision) where HostRelay.claim(behind: collision, settings) != nil:
      HostRelay.claim(behind: collision, settings).map { Failure(.configuration, $0) }
    // A device that was in the network before waits until its host has left the other network.
    case .collision where !identity.hasJoined: Failure(.temporaryFailure, loss.description)
    default: nil
    }
  }
}
