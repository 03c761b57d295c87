public import Config
public import Device
internal import Logging
internal import Names
public import SystemIO
internal import SystemPackage
internal import Wire

/// The names of the network on this host: the server for them, the system's resolver that is told of it, and the block in the
/// hosts file. Owned by the main thread, but for `note`, which is for any.
public final class NameService: @unchecked Sendable {
  // Set once.
  private let daemon: Daemon
  private let settings: Settings.Join
  /// As it was made; it marks the block in the hosts file.
  private let interface: String
  private let domain: String
  private let path: String
  /// The file that gets a block of the names; `nil` for none.
  private let hostsFile: String?
  private weak var device: Device?

  // Owned by the main thread.
  private lazy var server = NameServer(
    Zone(pool: IPv4Prefix(IPv4Address(bits: 0), length: 32), pool6: nil, domain: domain), on: daemon.events
  ) { [unowned self] label, reply in search(label, reply) }
  private var hasJoined = false
  /// The interface's name now.
  private lazy var link = interface
  private var resolver: ChildProcess?
  /// What the system's resolver was told last.
  private var told: [String] = []
  private var hasComplained: Set<String> = []
  private var isHostsFileDue = false
  private var isServerRetryDue = false
  private var lastHosts = Instant(nanoseconds: 0)

  /// How long the relay may take to say who has a name; a resolver asks again after longer.
  private static let searchTime = Duration.seconds(2)
  private static let hostsInterval = Duration.seconds(1)
  private static let resolverTimeout = Duration.seconds(10)
  private static let maximumHostsFile = 8 << 20
  private static let systemHostsFile = "/etc/hosts"
  /// How long to wait until a port that could not be had is tried again.
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
    path = environmentVariable("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    hostsFile =
      switch settings.hostsFile {
      case .auto: settings.names == .auto && !Self.hasSystemResolver ? Self.systemHostsFile : nil
      case .off: nil
      case .path(let path): path
      }
  }

  private static var hasSystemResolver: Bool { (try? exists("/run/systemd/resolve")) == true }

  /// Whose names these are. Before the device starts.
  public func serve(_ device: Device) {
    self.device = device
    // What a start that was killed has left.
    if let path = hostsFile ?? (settings.hostsFile == .auto ? Self.systemHostsFile : nil) {
      changeHostsFile(path, removing: true)
    }
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
    if hasJoined { settle() }
  }

  /// At the daemon's end.
  public func stop() {
    server.stop()
    resolver?.kill()
    if let hostsFile { changeHostsFile(hostsFile, removing: true) }
  }

  private func take(_ news: [PeerEvent]) {
    for event in news {
      if case .left(let peer) = event { server.zone.table.remove(peer.address) }
      if case .joined(let peer) = event { server.zone.table.add(peer.deviceID, peer.address) }
    }
    scheduleHostsFile()
  }

  /// This device may have another address, and the network another shape.
  private func settle() {
    device?.status { [self] status in daemon.events.post { self.settle(status) } }
  }

  private func settle(_ status: DeviceStatus) {
    guard let address = status.address, let pool = status.pool else { return }
    hasJoined = true
    link = status.interface
    server.zone.pool = pool
    // Without an IPv6 address of its own, this host reaches nobody's.
    server.zone.pool6 = status.address6 == nil ? nil : status.pool6
    server.zone.table.setOwn(status.deviceID, address)
    scheduleHostsFile()
    guard settings.names != .off else { return }
    let hosts = [address.description] + (status.address6.map { [$0.description] } ?? [])
    if !server.isServing(at: hosts) {
      do {
        try server.serve(at: hosts)
        daemon.logger.info("names in \(domain) are answered at \(hosts.joined(separator: " and "))")
      } catch {
        let advice =
          switch error {
          case .addressInUse:
            "another program has port 53 of all addresses: have it listen at its own only (dnsmasq: bind-interfaces)"
          case .permissionDenied:
            "port 53 needs root or CAP_NET_BIND_SERVICE"
          default: "this program tries again from time to time"
          }
        retryServer()
        return complain(
          "names in \(domain) cannot be answered at \(hosts[0]) (\(error)); \(advice), or write off to join.names"
        )
      }
    }
    tellResolver(hosts)
  }

  private func retryServer() {
    guard !isServerRetryDue else { return }
    isServerRetryDue = true
    daemon.events.schedule(after: Self.serverRetry) { [weak self] in
      self?.isServerRetryDue = false
      self?.settle()
    }
  }

  private func complain(_ line: String) {
    if hasComplained.insert(line).inserted { daemon.logger.warning("\(line)") }
  }

  /// Nobody has asked for the file by name, and who is content with addresses need not be warned.
  private func mention(_ why: String, _ path: String) {
    let line =
      "names in \(domain) do not resolve on this host by themselves: systemd-resolved does not run, and \(path) cannot "
      + "have them (\(why)); addresses work; see NAMES in mnedc-join(8)"
    if hasComplained.insert(line).inserted { daemon.logger.info("\(line)") }
  }

  // MARK: Names that are not known here

  private func search(_ label: String, _ reply: @escaping (LocateOutcome) -> Void) {
    guard let device else { return reply(.unclear) }
    // The reply comes back to this thread, which alone calls it.
    nonisolated(unsafe) let reply = reply
    device.locate(label: label, within: Self.searchTime) { [daemon] outcome in
      // Behind the event that tells of the peer.
      daemon.events.post { reply(outcome) }
    }
  }

  // MARK: The system's resolver

  /// Has systemd-resolved ask here for these names, if it runs. It forgets that by itself when the interface goes.
  private func tellResolver(_ hosts: [String]) {
    guard settings.names == .auto, Self.hasSystemResolver else { return }
    let domains = server.zone.domains.map { "~\($0)" }
    guard told != hosts + domains, resolver == nil else { return }
    told = hosts + domains
    // What has changed meanwhile is told then.
    run(["dns", link] + hosts) { [self] in run(["domain", link] + domains) { [self] in settle() } }
  }

  private func run(_ arguments: [String], then next: @escaping () -> Void) {
    var environment = ["PATH": path, "LC_ALL": "C"]
    environment["DBUS_SYSTEM_BUS_ADDRESS"] = environmentVariable("DBUS_SYSTEM_BUS_ADDRESS")
    let command = ChildProcess.Command(
      "resolvectl", arguments, environment: environment, outputLimit: 1000,
      timeout: Self.resolverTimeout)
    do {
      resolver = try ChildProcess(command, on: daemon.events) { [weak self] outcome in
        guard let self else { return }
        self.resolver = nil
        if outcome.end == .exited(0) { return next() }
        self.resolverFailed(arguments, Self.text(outcome))
      }
    } catch {
      resolverFailed(arguments, error.description)
    }
  }

  private func resolverFailed(_ arguments: [String], _ why: String) {
    told = []
    complain(
      "systemd-resolved runs but cannot be told of the names in \(domain) (\(why)); run, as root, resolvectl "
        + arguments.joined(separator: " ") + ", or write resolver to join.names")
  }

  private static func text(_ outcome: ChildProcess.Outcome) -> String {
    let line = outcome.output.prefix { $0 != UInt8(ascii: "\n") }.filter { (0x20...0x7E).contains($0) }
    switch outcome.end {
    case .exited where !line.isEmpty: return String(decoding: line, as: UTF8.self)
    case .exited(let status): return "resolvectl ended with status \(status)"
    case .signalled(let signal): return "resolvectl was ended by signal \(signal)"
    case .timedOut, .killed: return "resolvectl took too long"
    }
  }

  // MARK: The hosts file

  /// Soon, and at most once a second.
  private func scheduleHostsFile() {
    guard let hostsFile, !isHostsFileDue else { return }
    isHostsFileDue = true
    let wait = max(.zero, Self.hostsInterval - Instant.now().since(lastHosts))
    daemon.events.schedule(after: wait) { [weak self] in
      guard let self else { return }
      self.isHostsFileDue = false
      self.lastHosts = .now()
      self.changeHostsFile(hostsFile, removing: false)
    }
  }

  private func changeHostsFile(_ path: String, removing: Bool) {
    let zone = removing ? nil : server.zone
    let interface = interface
    do {
      try SharedFile(path, limit: Self.maximumHostsFile).change {
        HostsBlock.replacing(in: $0, for: interface, with: zone)
      }
    } catch Errno.resourceTemporarilyUnavailable where !removing {
      scheduleHostsFile()
    } catch {
      let why =
        switch error {
        case .tooManySymbolicLinkLevels: "it is a symbolic link; name the file itself"
        case .invalidArgument: "it is no regular file"
        case .fileTooLarge: "it is larger than \(Self.maximumHostsFile >> 20) MiB"
        case .permissionDenied, .notPermitted, .readOnlyFileSystem:
          "\(error); the user that this program runs as has to be allowed to write it"
        default: error.description
        }
      if settings.hostsFile == .auto {
        if !removing { mention(why, path) }
      } else {
        complain("\(path) cannot have the names of the network: \(why), or write off to join.hosts-file")
      }
    }
  }
}
