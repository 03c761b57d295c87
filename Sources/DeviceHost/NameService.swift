public import Config
public import Control
public import DaemonKit
public import Device
internal import Logging
internal import Names
public import SystemIO
internal import SystemPackage
internal import Wire

/// The names of the network on this host: the server for them, and what has this host's programs find them, which is
/// systemd-resolved or a block in the hosts file. Whether they do is looked up, the way programs do it, after each
/// join, reload and change of the resolver. Owned by the main thread, but for `note`, which is for any.
public final class NameService: @unchecked Sendable {
  // Set once.
  private let daemon: Daemon
  private let settings: Settings.Join
  /// As it was made; it marks the block in the hosts file.
  private let interface: String
  private let domain: String
  private let resolver: SystemResolver
  private let lookup: NameLookup
  private let serviceManager: SystemTool
  private weak var device: Device?

  // Owned by the main thread.
  private lazy var server = NameServer(
    Zone(pool: IPv4Prefix(IPv4Address(bits: 0), length: 32), pool6: nil, domain: domain), on: daemon.events
  ) { [unowned self] label, reply in search(label, reply) }
  /// The file that has a block of the names, if one is to.
  private var hostsFile: HostsFile?
  /// This device's own addresses; empty before it has joined.
  private var hosts: [String] = []
  private var watch: FileWatch?
  private lazy var resolverChange = PacedJob(on: daemon.events, RateLimit(perSecond: 0.5, burst: 5)) { [unowned self] in
    look()
  }
  /// How often systemd-resolved is told anew because names do not resolve.
  private var repairs = RateLimit(perSecond: 1.0 / 60, burst: 5)
  /// How often systemd is asked to mount the hosts file anew.
  private var mounts = RateLimit(perSecond: 1.0 / 60, burst: 5)
  /// Whether `arrange` or `look` waits for systemd-resolved or a look-up, and whether to arrange anew after that.
  private var isBusy = false
  private var isAskedAgain = false
  private var isLookingUp = false
  /// Whether to look again after that.
  private var isLookDue = false
  private var isServerRetryDue = false
  private var hasStopped = false
  private var hasComplained: Set<String> = []
  /// The last warning about names that do not resolve.
  private var complaint: String?

  // The results of the last attempt.
  private var isResolverTold = false
  /// Why systemd-resolved does not answer for the names.
  private var reason: String?
  /// Why the system's hosts file was taken in its place.
  private var hostsReason: String?
  /// Why the hosts file does not have them, although it should.
  private var hostsTrouble: String?
  private var resolves: Bool?
  /// What a look-up of the own name gave in place of its address.
  private var finding: String?

  /// How long the relay may take to say who has a name; a resolver asks again after longer.
  private static let searchTime = Duration.seconds(2)
  /// Names are looked up at this interval, since not every change is noticed.
  private static let lookInterval = Duration.seconds(60)
  /// The time until the next attempt to listen at a port that was taken.
  private static let serverRetry = Duration.seconds(10)

  /// The rights that it needs beside those of the device.
  public static func capabilities(_ settings: Settings.Join) -> Set<Capability> {
    settings.names == .off ? [] : [.bindService]
  }

  /// `network`: which of several it is.
  public init(_ settings: Settings.Join, interface: String, network: NetworkName? = nil, _ daemon: Daemon) {
    self.settings = settings
    self.interface = interface
    domain = HostLabel.domain(of: network?.description)
    self.daemon = daemon
    resolver = SystemResolver(interface: interface, on: daemon.events)
    lookup = NameLookup(on: daemon.events)
    serviceManager = SystemTool("systemctl", on: daemon.events)
  }

  /// Removes what daemons that were killed have left in hosts files. To be called with the rights that a start has.
  public func removeStaleBlocks() {
    let named: String? = if case .path(let path) = settings.hostsFile { path } else { nil }
    guard settings.hostsFile != .off else { return }
    for path in Set([named, HostsFile.system].compactMap { $0 }) {
      HostsFile.removeStaleBlocks(from: path, interface: interface)
    }
  }

  /// Whose names these are. Before the device starts.
  public func serve(_ device: Device) {
    self.device = device
    if case .path(let path) = settings.hostsFile { useHostsFile(path) }
  }

  /// Learns from what happens to the device. From any thread.
  public func note(_ event: DeviceEvent) {
    switch event {
    case .joined, .networkChanged, .interfaceChanged: daemon.events.post { [self] in settle() }
    case .peers(let news): daemon.events.post { [self] in take(news) }
    default: break
    }
  }

  /// Tries again what could not be done.
  public func retry() {
    hasComplained = []
    complaint = nil
    if !hosts.isEmpty { settle() }
  }

  /// At the daemon's end.
  public func stop() {
    hasStopped = true
    watch?.stop()
    server.stop()
    resolver.stop()
    serviceManager.stop()
    hostsFile?.stop()
  }

  private func take(_ news: [PeerEvent]) {
    for event in news {
      if case .left(let peer) = event { server.zone.table.remove(peer.address) }
      if case .joined(let peer) = event { server.zone.table.add(peer.deviceID, peer.address) }
    }
    hostsFile?.request()
  }

  /// This device may have another address, and the network another shape.
  private func settle() {
    device?.status { [self] status in daemon.events.post { self.settle(status) } }
  }

  private func settle(_ status: DeviceStatus) {
    guard !hasStopped, let address = status.address, let pool = status.pool else { return }
    let isFirst = hosts.isEmpty
    hosts = [address.description] + (status.address6.map { [$0.description] } ?? [])
    resolver.interface = status.interface
    server.zone.pool = pool
    // Without an IPv6 address of its own, this host reaches nobody's.
    server.zone.pool6 = status.address6 == nil ? nil : status.pool6
    server.zone.table.setOwn(status.deviceID, address)
    hostsFile?.request()
    if isFirst { beginLooking() }
    arrange()
  }

  // MARK: Making programs find the names

  /// Tells systemd-resolved, or uses the hosts file where programs do not ask systemd-resolved, and tests whether names
  /// resolve.
  private func arrange() {
    guard !hosts.isEmpty, !hasStopped else { return }
    guard !isBusy else {
      isAskedAgain = true
      return
    }
    isBusy = true
    reason = nil
    guard settings.names != .off, serveNames(), settings.names == .auto else { return takeResolver(nil) }
    resolver.tell(hosts, server.zone.domains.map { "~\($0)" }) { [weak self] in self?.takeResolver($0) }
  }

  /// Whether the server runs at this device's addresses.
  private func serveNames() -> Bool {
    guard !server.isServing(at: hosts) else { return true }
    do {
      try server.serve(at: hosts)
      daemon.logger.info("names in \(domain) are answered at \(hosts.joined(separator: " and "))")
      return true
    } catch {
      let advice =
        switch error {
        case .addressInUse:
          "another program has port 53 of all addresses: have it listen at its own only (dnsmasq: bind-interfaces)"
        case .permissionDenied:
          "port 53 needs root or CAP_NET_BIND_SERVICE"
        default: "this program tries again from time to time"
        }
      complain(
        "names in \(domain) cannot be answered at \(hosts[0]) (\(error)); \(advice), or write off to join.names")
      reason = "this device cannot answer at port 53 (\(error))"
      retryServer()
      return false
    }
  }

  private func retryServer() {
    guard !isServerRetryDue else { return }
    isServerRetryDue = true
    daemon.events.schedule(after: Self.serverRetry) { [weak self] in
      self?.isServerRetryDue = false
      self?.settle()
    }
  }

  private func takeResolver(_ outcome: SystemResolver.Outcome?) {
    guard !hasStopped else { return }
    isResolverTold = false
    switch outcome {
    case .told: isResolverTold = true
    case .absent(let why): reason = why
    case .failed(let command, let why):
      reason = "systemd-resolved cannot be told of them (\(why))"
      complain(
        "systemd-resolved runs but cannot be told of the names in \(domain) (\(why)); run, as root, resolvectl "
          + command.joined(separator: " ") + ", or write resolver to join.names")
    case nil: break
    }
    if !isResolverTold { useSystemHostsFile() }
    lookUpOwnName { [self] in
      guard resolves == false, isResolverTold else { return settled() }
      reason = "systemd-resolved has them, but programs of this host do not ask it"
      guard useSystemHostsFile() else { return settled() }
      lookUpOwnName { [self] in settled() }
    }
  }

  private func settled() {
    isBusy = false
    if resolves == true { complaint = nil }
    if isAskedAgain {
      isAskedAgain = false
      return arrange()
    }
    if resolves != true { complainOfNames() }
    if isLookDue { look() }
  }

  /// Begins to use the file that all programs read, where the settings allow that. False: it is in use already, or not
  /// allowed.
  @discardableResult
  private func useSystemHostsFile() -> Bool {
    guard settings.names == .auto, settings.hostsFile == .auto, hostsFile == nil else { return false }
    useHostsFile(HostsFile.system)
    hostsReason = reason
    if hostsFile?.write() == true, let reason {
      daemon.logger.info("names in \(domain) are in \(HostsFile.system): \(reason)")
    }
    return true
  }

  private func useHostsFile(_ path: String) {
    hostsFile = HostsFile(path, interface: interface, daemon) { [unowned self] in
      server.zone
    } onResult: { [unowned self] error in
      takeHostsFile(path, error)
    }
  }

  private func takeHostsFile(_ path: String, _ error: Errno?) {
    guard let error else {
      hostsTrouble = nil
      // A look-up that is under way may have begun before the names were in the file.
      if resolves == false || isLookingUp { resolverChange.request() }
      return
    }
    let why =
      switch error {
      case .tooManySymbolicLinkLevels: "it is a symbolic link; name the file itself"
      case .invalidArgument: "it is no regular file"
      case .fileTooLarge: "it is larger than \(HostsFile.limit >> 20) MiB"
      case .permissionDenied, .notPermitted, .readOnlyFileSystem:
        "\(error); the user that this program runs as has to be allowed to write it"
      default: error.description
      }
    hostsTrouble =
      switch error {
      case .permissionDenied, .notPermitted: "user \(User.name(of: currentUser())) may not write \(path)"
      case .readOnlyFileSystem: "\(path) cannot be written (\(error))"
      default: "\(path) cannot have them (\(why))"
      }
    if error == .readOnlyFileSystem, hostsFile?.hasBeenWritten == true { regain(path) }
    if settings.hostsFile != .auto {
      complain("\(path) cannot have the names of the network: \(why), or write off to join.hosts-file")
    }
  }

  /// Has systemd mount the hosts file anew. The unit lets the daemon write this one file by a mount, which ends when
  /// another program renames a new file over it.
  private func regain(_ path: String) {
    guard !hasStopped, !serviceManager.isRunning, let unit = ownServiceUnit(), mounts.allow(at: .now()) else { return }
    serviceManager.run(["bind", unit, path]) { [weak self] why in
      guard let self, !self.hasStopped else { return }
      if let why {
        self.complain(
          "\(path) was replaced, so \(unit) may not write it any more, and systemd does not mount it anew (\(why)); restart the "
            + "unit to have the names in it")
      } else {
        self.hostsFile?.request()
      }
    }
  }

  // MARK: Checking that programs find the names

  /// Looks when a file of the system's resolver changes, and at intervals.
  private func beginLooking() {
    guard settings.names != .off || hostsFile != nil else { return }
    // Where the kernel has no watch left, once a minute has to do.
    watch = try? FileWatch(SystemResolver.traces, on: daemon.events) { [weak self] _ in self?.resolverChange.request() }
    lookRegularly()
  }

  private func lookRegularly() {
    daemon.events.schedule(after: Self.lookInterval) { [weak self] in
      guard let self, !self.hasStopped else { return }
      self.watch?.refresh()
      self.hostsFile?.refresh()
      self.look()
      self.lookRegularly()
    }
  }

  /// Looks the own name up, and arranges anew if it does not resolve.
  private func look() {
    guard !hosts.isEmpty, !hasStopped else { return }
    isLookDue = isBusy
    guard !isBusy else { return }
    isBusy = true
    lookUpOwnName { [self] in
      if resolves == false, !isAskedAgain { isAskedAgain = repairs.allow(at: .now()) }
      settled()
    }
  }

  /// Whether this device's own name has its address for programs of this host.
  private func lookUpOwnName(_ next: @escaping () -> Void) {
    guard settings.names != .off || hostsFile != nil, let own = server.zone.table.own else { return next() }
    let name = "\(own.label).\(domain)"
    isLookingUp = true
    lookup.look(up: name) { [weak self] outcome in
      guard let self, !self.hasStopped else { return }
      self.isLookingUp = false
      switch outcome {
      case .success(let addresses) where !Set(addresses).isDisjoint(with: self.hosts):
        self.resolves = true
        self.finding = nil
      case .success(let addresses):
        self.resolves = false
        self.finding = "\(name) is \(addresses.joined(separator: ", ")) for them"
      case .failure(let failed):
        self.resolves = false
        self.finding = "\(name) \(failed.why)"
      }
      next()
    }
  }

  /// How the names resolve on this host, for a status.
  public var report: NamesReport {
    let means: NamesReport.Means =
      if hostsFile != nil, hostsTrouble == nil {
        .hostsFile
      } else if isResolverTold {
        .systemdResolved
      } else {
        settings.names == .off ? .off : .server
      }
    let notes = [
      means == .hostsFile ? reason ?? hostsReason : reason,
      hostsTrouble, finding,
    ]
    let note = notes.compactMap { $0 }.joined(separator: "; ")
    return NamesReport(
      domain: domain, by: means, hostsFile: means == .hostsFile ? hostsFile?.path : nil, resolves: resolves,
      note: note.isEmpty ? nil : note)
  }

  private func complain(_ line: String) {
    if hasComplained.insert(line).inserted { daemon.logger.warning("\(line)") }
  }

  /// Warns that names do not resolve. Where systemd-resolved does not run and this user may not write the hosts file,
  /// as on most hosts of a relay, that is no warning.
  private func complainOfNames() {
    let usesHosts = settings.hostsFile == .auto
    guard settings.names == .auto, usesHosts || isResolverTold, let finding else { return }
    let why = [reason, usesHosts ? hostsTrouble ?? "\(HostsFile.system) has them" : nil].compactMap { $0 }
    // Where nothing has the names, what a look-up finds says no more.
    let found = hostsTrouble == nil || isResolverTold ? "; \(finding)" : ""
    let line =
      "names in \(domain) do not work on this host (addresses do): \(why.joined(separator: ", and "))\(found); see "
      + "NAMES in mnedc-join(8)"
    guard complaint != line else { return }
    complaint = line
    daemon.logger.log(level: !isResolverTold && hostsTrouble != nil ? .info : .warning, "\(line)")
  }

  // MARK: Names that are not known here

  private func search(_ label: String, _ reply: @escaping (NameServer.SearchResult) -> Void) {
    guard let device else { return reply(.unclear) }
    // The reply comes back to this thread, which alone calls it.
    nonisolated(unsafe) let reply = reply
    device.locate(label: label, within: Self.searchTime) { [daemon] outcome in
      let result: NameServer.SearchResult =
        switch outcome {
        case .peer: .found
        case .nobody: .nobody
        case .unclear: .unclear
        }
      // Behind the event that tells of the peer.
      daemon.events.post { reply(result) }
    }
  }
}
