public import Config
public import Control
public import DaemonKit
public import Device
internal import Logging
internal import Names
public import SystemIO
internal import SystemPackage
internal import Wire

/// Serves the network's names on this host: runs the name server, and makes programs use it through systemd-resolved or
/// a block in the hosts file. After each join, reload and change of the resolver it looks its own name up as programs
/// do. Owned by the main thread, but `note` is for any thread.
public final class NameService: @unchecked Sendable {
  // Set once.
  private let daemon: Daemon
  private let settings: Settings.Join
  /// Its name at the start, which marks the block in the hosts file.
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
  /// The file that gets a block of the names, if one does.
  private var hostsFile: HostsFile?
  /// This device's own addresses; empty before it has joined.
  private var hosts: [String] = []
  private var watch: FileWatch?
  private lazy var resolverChange = PacedJob(on: daemon.events, RateLimit(perSecond: 0.5, burst: 5)) { [unowned self] in
    look()
  }
  /// Limits how often systemd-resolved is told again because names do not resolve.
  private var repairs = RateLimit(perSecond: 1.0 / 60, burst: 5)
  /// Limits how often systemd is asked to mount the hosts file again.
  private var mounts = RateLimit(perSecond: 1.0 / 60, burst: 5)
  /// Whether `arrange` or `look` waits for systemd-resolved or a look-up, and whether to run `arrange` again.
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
  /// Why systemd-resolved does not know the names.
  private var reason: String?
  /// Why the system's hosts file is used instead.
  private var hostsReason: String?
  /// Why the hosts file cannot be written.
  private var hostsTrouble: String?
  private var resolves: Bool?
  /// The wrong result of looking up the device's own name.
  private var finding: String?

  /// The relay's time to answer a search. Resolvers ask again later than that.
  private static let searchTime = Duration.seconds(2)
  /// The interval of look-ups, since the daemon does not notice every change.
  private static let lookInterval = Duration.seconds(60)
  /// The time until the next attempt to listen at a port that was taken.
  private static let serverRetry = Duration.seconds(10)

  /// The capabilities that names need beyond those of the device.
  public static func capabilities(_ settings: Settings.Join) -> Set<Capability> {
    settings.names == .off ? [] : [.bindService]
  }

  /// `network`: the name of the network, if the host has several.
  public init(_ settings: Settings.Join, interface: String, network: NetworkName? = nil, _ daemon: Daemon) {
    self.settings = settings
    self.interface = interface
    domain = HostLabel.domain(of: network?.description)
    self.daemon = daemon
    resolver = SystemResolver(interface: interface, on: daemon.events)
    lookup = NameLookup(on: daemon.events)
    serviceManager = SystemTool("systemctl", on: daemon.events)
  }

  /// Removes the blocks that killed daemons left in hosts files. To be called before privileges are dropped.
  public func removeStaleBlocks() {
    let named: String? = if case .path(let path) = settings.hostsFile { path } else { nil }
    guard settings.hostsFile != .off else { return }
    for path in Set([named, HostsFile.system].compactMap { $0 }) {
      HostsFile.removeStaleBlocks(from: path, interface: interface)
    }
  }

  /// Sets the device whose peers have the names. To be called before the device starts.
  public func serve(_ device: Device) {
    self.device = device
    if case .path(let path) = settings.hostsFile { useHostsFile(path) }
  }

  /// Takes the device's events. From any thread.
  public func note(_ event: DeviceEvent) {
    switch event {
    case .joined, .networkChanged, .interfaceChanged: daemon.events.post { [self] in settle() }
    case .peers(let news): daemon.events.post { [self] in take(news) }
    default: break
    }
  }

  public func retry() {
    hasComplained = []
    complaint = nil
    if !hosts.isEmpty { settle() }
  }

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

  /// The device's address or the network may have changed.
  private func settle() {
    device?.status { [self] status in daemon.events.post { self.settle(status) } }
  }

  private func settle(_ status: DeviceStatus) {
    guard !hasStopped, let address = status.address, let pool = status.pool else { return }
    let isFirst = hosts.isEmpty
    hosts = [address.description] + (status.address6.map { [$0.description] } ?? [])
    resolver.interface = status.interface
    server.zone.pool = pool
    // Without an IPv6 address, this host cannot reach those of its peers.
    server.zone.pool6 = status.address6 == nil ? nil : status.pool6
    server.zone.table.setOwn(status.deviceID, address)
    hostsFile?.request()
    if isFirst { beginLooking() }
    arrange()
  }

  // MARK: Making programs find the names

  /// Tells systemd-resolved the names, or writes the hosts file if programs do not ask systemd-resolved, then tests
  /// whether names resolve.
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

  /// Starts the server at this device's addresses; false if that fails.
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

  /// Begins to use the system's hosts file, if the settings allow that. Returns false if it does so already, or may
  /// not.
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

  /// Asks systemd to mount the hosts file again. The unit lets the daemon write this one file by a mount, which ends
  /// when another program renames a new file over it.
  private func regain(_ path: String) {
    guard !hasStopped, !serviceManager.isRunning, let unit = ownServiceUnit(), mounts.allow(at: .now()) else { return }
    serviceManager.run(["bind", unit, path]) { [weak self] why in
      guard let self, !self.hasStopped else { return }
      if let why {
        self.complain(
          "\(path) was replaced, so \(unit) may not write it any more, and systemd does not mount it anew (\(why)); "
            + "restart the unit to have the names in it")
      } else {
        self.hostsFile?.request()
      }
    }
  }

  // MARK: Checking that programs find the names

  /// Looks when a file of the system's resolver changes, and at intervals.
  private func beginLooking() {
    guard settings.names != .off || hostsFile != nil else { return }
    // If the kernel has no watch left, a look-up a minute is enough.
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

  /// Looks the own name up, and calls `arrange` if it does not resolve.
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

  /// Looks up whether programs of this host find the device's own name.
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

  /// How names resolve on this host, for a status report.
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

  /// Warns that names do not resolve. Not a warning if systemd-resolved does not run and this user may not write the
  /// hosts file, as on most relay hosts.
  private func complainOfNames() {
    let usesHosts = settings.hostsFile == .auto
    guard settings.names == .auto, usesHosts || isResolverTold, let finding else { return }
    let why = [reason, usesHosts ? hostsTrouble ?? "\(HostsFile.system) has them" : nil].compactMap { $0 }
    // If nothing has the names, the result of a look-up adds nothing.
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
    // Only this thread, to which the reply comes back, calls it.
    nonisolated(unsafe) let reply = reply
    device.locate(label: label, within: Self.searchTime) { [daemon] outcome in
      let result: NameServer.SearchResult =
        switch outcome {
        case .peer: .found
        case .nobody: .nobody
        case .unclear: .unclear
        }
      // After the event that announces the peer.
      daemon.events.post { reply(result) }
    }
  }
}
