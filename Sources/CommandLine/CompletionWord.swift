public import ArgumentParser
internal import Control
internal import SystemIO
internal import SystemPackage
internal import Wire

/// The word that a shell wants to complete, up to the cursor.
struct CompletionWord {
  /// Without the quote that it may begin with.
  let text: String

  /// Nobody reads a longer list, and a shell takes long to show it.
  static let maximumCount = 500
  /// How long a completion waits for each daemon's answer. It is short, because the user waits at the prompt.
  static let patience = Duration.seconds(1)

  init(_ prefix: String) {
    text = Self.unquoted(prefix)
  }

  /// The names that begin with the word, once each and sorted. Shells expand some characters, so only names of harmless
  /// ones are offered.
  func fitting(_ names: [String]) -> [String] {
    let fitting = Set(names.filter { $0.utf8.starts(with: text.utf8) && $0.utf8.allSatisfy(Self.isHarmless) })
    return Array(fitting.sorted().prefix(Self.maximumCount))
  }

  /// The options that choose a daemon. Shells hand words on with their quotes, and bash splits them at "=".
  static func daemonOptions(of line: [String]) -> [String] {
    options(configurationNames(of: line).union(["--socket", "--of"]), of: line)
  }

  /// The options that name the configuration; in mnedc-peers, `-c` is another one.
  static func configurationNames(of line: [String]) -> Set<String> {
    let isPeers = line.first.map { $0 == "mnedc-peers" || $0.hasSuffix("/mnedc-peers") } ?? false
    return isPeers ? ["--config"] : ["--config", "-c"]
  }

  /// Those of these options that the line has, with their values.
  static func options(_ names: Set<String>, of line: [String]) -> [String] {
    var options: [String] = []
    var words = line.dropFirst()[...]
    while let word = words.popFirst() {
      if word == "--" { break }
      let (name, value) = split(word)
      guard names.contains(name) else { continue }
      if words.first == "=" { words.removeFirst() }
      if let value = value ?? words.popFirst() { options += [name, expanded(unquoted(value))] }
    }
    return options
  }

  private static func split(_ word: String) -> (name: String, value: String?) {
    guard word.hasPrefix("--"), let equals = word.firstIndex(of: "=") else { return (word, nil) }
    return (String(word[..<equals]), String(word[word.index(after: equals)...]))
  }

  private static func unquoted(_ word: String) -> String {
    guard let quote = word.first, quote == "\"" || quote == "'" else { return word }
    let inside = word.dropFirst()
    return String(inside.last == quote ? inside.dropLast() : inside)
  }

  private static func expanded(_ path: String) -> String {
    guard path.hasPrefix("~/"), let home = environmentVariable("HOME") else { return path }
    return home + path.dropFirst()
  }

  private static func isHarmless(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: "-._:/=,+@%".utf8.contains(byte)
    }
  }
}

// Completions that the daemon on this host knows. The completion script runs the program itself for them (`mnedc-ctl
// ---completion ...`), which asks the daemon and prints one name a line; nothing if no daemon answers soon or this user
// may not ask.

extension CompletionKind {
  private typealias Daemon = DaemonChoice<ConfigOptions>

  /// The other devices, by ID; by address if the word begins like one.
  public static var peers: CompletionKind {
    .live { daemon, word in
      let peers = try daemon.ask(.peers, PeersReport.self).peers
      return named(peers.map { ($0.deviceId, $0.address) }, word)
    }
  }

  /// The devices that the relay has admitted.
  public static var devices: CompletionKind {
    .live { daemon, _ in try admitted(daemon, alsoRevoked: false) }
  }

  /// As `devices`, with the revoked ones.
  public static var knownDevices: CompletionKind {
    .live { daemon, _ in try admitted(daemon, alsoRevoked: true) }
  }

  /// The devices that wait for an operator: by ID, or by fingerprint where several have the same ID.
  public static var pendingDevices: CompletionKind {
    .live { daemon, _ in
      let waiting = try daemon.ask(.pending, PendingReport.self).devices
      let counts = Dictionary(waiting.map { ($0.deviceId, 1) }, uniquingKeysWith: +)
      return waiting.map { counts[$0.deviceId] == 1 ? $0.deviceId : $0.fingerprint }
    }
  }

  public static var invites: CompletionKind {
    .live { daemon, _ in
      try daemon.ask(.invites, InvitesReport.self).invites.filter { $0.state == .usable }.map(\.id)
    }
  }

  /// The devices whose leases can be freed or unpinned; by address if the word begins like one.
  public static var leases: CompletionKind {
    .live { daemon, word in
      let leases = try daemon.ask(.leases, LeasesReport.self).leases
      let free = leases.filter { $0.kind == .pinned || ($0.kind != .fixed && !$0.online) }
      return named(free.map { ($0.deviceId, $0.address) }, word)
    }
  }

  public static var services: CompletionKind {
    .live { daemon, _ in try everybody(daemon).flatMap { $0.services ?? [] }.map(\.name) }
  }

  /// On what platforms the devices are: `linux/arm64`.
  public static var platforms: CompletionKind {
    .live { daemon, _ in try everybody(daemon).compactMap(\.platform) }
  }

  /// What labels the devices have: `zone=hall`.
  public static var labels: CompletionKind {
    .live { daemon, _ in try everybody(daemon).flatMap { $0.labels ?? [:] }.map { "\($0.key)=\($0.value)" } }
  }

  public static var ownServices: CompletionKind {
    .live { daemon, _ in try daemon.ask(.peers, PeersReport.self).`self`?.services?.map(\.name) ?? [] }
  }

  public static var announcedServices: CompletionKind {
    .live { daemon, _ in try daemon.ask(.announce(AnnounceOrder()), OrchestrationReport.self).announcedServices }
  }

  public static var announcedLabels: CompletionKind {
    .live { daemon, _ in try daemon.ask(.announce(AnnounceOrder()), OrchestrationReport.self).announcedLabels }
  }

  /// The daemons that run here, for `--of`; all that there can be if none runs.
  public static var daemons: CompletionKind {
    .custom { line, _, prefix in
      // The daemon is not named yet, so only the file tells where to look.
      let file = CompletionWord.options(CompletionWord.configurationNames(of: line), of: line)
      guard let options = try? Daemon.parse(file) else { return [] }
      let running = ((try? options.running()) ?? []).compactMap { $0.name?.description }
      return CompletionWord(prefix).fitting(running.isEmpty ? ["relay", "device"] : running)
    }
  }

  /// A name that no network interface of this host has.
  public static var newInterface: CompletionKind {
    .custom { _, _, _ in
      (0..<100).lazy.map { "mnedc\($0)" }.filter { (try? FileAttributes(of: "/sys/class/net/\($0)")) == nil }
        .prefix(1).map { $0 }
    }
  }

  /// The names that the chosen daemon gives and that fit the word before the cursor.
  private static func live(
    _ names: @escaping @Sendable (_ daemon: Daemon, _ word: String) throws -> [String]
  ) -> CompletionKind {
    .custom { line, index, prefix in
      // Before version 4, fish does not always give the word before the cursor.
      let isUntold = prefix.isEmpty && CompletionShell.requesting == .fish && line.indices.contains(index)
      let word = CompletionWord(isUntold ? line[index] : prefix)
      guard var daemon = try? Daemon.parse(CompletionWord.daemonOptions(of: line)) else { return [] }
      daemon.timeout = CompletionWord.patience
      let fitting = word.fitting((try? names(daemon, word.text)) ?? [])
      // zsh takes the text behind a colon for a description.
      return CompletionShell.requesting == .zsh ? fitting.map { $0.replacing(":", with: "\\:") } : fitting
    }
  }

  private static func everybody(_ daemon: Daemon) throws -> [PeersReport.Peer] {
    let report: PeersReport = try daemon.ask(.peers)
    return report.peers + (report.`self`.map { [$0] } ?? [])
  }

  /// A user without root's rights, who is about to type sudo, may only ask for peers.
  private static func admitted(_ daemon: Daemon, alsoRevoked: Bool) throws -> [String] {
    do {
      return try daemon.ask(.devices(), DevicesReport.self).devices
        .filter { alsoRevoked || $0.status == .active }.map(\.deviceId)
    } catch let failure as Failure where failure.status == .noPermission {
      return try daemon.ask(.peers, PeersReport.self).peers.map(\.deviceId)
    }
  }

  private static func named(_ devices: [(id: String, address: String)], _ word: String) -> [String] {
    let ids = devices.map(\.id)
    guard !word.isEmpty, !ids.contains(where: { $0.utf8.starts(with: word.utf8) }) else { return ids }
    return devices.map(\.address)
  }
}
