public import ArgumentParser
internal import Control
internal import SystemIO
internal import SystemPackage
internal import Wire

// What a shell offers for a word: names that the daemon on this host knows now. The completion script runs the program
// itself for them (`mnedc-ctl ---completion ...`), which asks the daemon and prints a name a line; nothing, and no error,
// where no daemon answers soon or this user may not ask.

extension CompletionKind {
  private typealias Daemon = DaemonChoice<ConfigOptions>

  /// The other devices, by their IDs; by address where that is how the word begins.
  public static var peers: CompletionKind {
    .live { daemon, word in
      let peers = try daemon.ask(.peers, PeersReport.self).peers
      return named(peers.map { ($0.deviceId, $0.address) }, word)
    }
  }

  /// The devices that the relay has let in.
  public static var devices: CompletionKind {
    .live { daemon, _ in try admitted(daemon, alsoRevoked: false) }
  }

  /// As `devices`, those that are revoked among them.
  public static var knownDevices: CompletionKind {
    .live { daemon, _ in try admitted(daemon, alsoRevoked: true) }
  }

  /// The devices that wait for an operator: by their IDs, or by fingerprint those that go by the same.
  public static var pendingDevices: CompletionKind {
    .live { daemon, _ in
      let waiting = try daemon.ask(.pending, PendingReport.self).devices
      let counts = Dictionary(waiting.map { ($0.deviceId, 1) }, uniquingKeysWith: +)
      return waiting.map { counts[$0.deviceId] == 1 ? $0.deviceId : $0.fingerprint }
    }
  }

  /// The invites that are still good.
  public static var invites: CompletionKind {
    .live { daemon, _ in
      try daemon.ask(.invites, InvitesReport.self).invites.filter { $0.state == .usable }.map(\.id)
    }
  }

  /// The devices whose leases can be freed or unpinned; by address where that is how the word begins.
  public static var leases: CompletionKind {
    .live { daemon, word in
      let leases = try daemon.ask(.leases, LeasesReport.self).leases
      let free = leases.filter { $0.kind == .pinned || ($0.kind != .fixed && !$0.online) }
      return named(free.map { ($0.deviceId, $0.address) }, word)
    }
  }

  /// What services the devices offer.
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

  /// What this device offers.
  public static var ownServices: CompletionKind {
    .live { daemon, _ in try daemon.ask(.peers, PeersReport.self).`self`?.services?.map(\.name) ?? [] }
  }

  /// The services that were announced here.
  public static var announcedServices: CompletionKind {
    .live { daemon, _ in try daemon.ask(.announce(AnnounceOrder()), OrchestrationReport.self).announcedServices }
  }

  /// The names of the labels that were announced here.
  public static var announcedLabels: CompletionKind {
    .live { daemon, _ in try daemon.ask(.announce(AnnounceOrder()), OrchestrationReport.self).announcedLabels }
  }

  /// The daemons that run here, for `--of`; what there may be where none does.
  public static var daemons: CompletionKind {
    .custom { line, _, prefix in
      // The daemon is still to be named, so that nothing but the file tells where to look.
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

  /// What `names` gets from the daemon that the line is for, as far as it fits the word before the cursor.
  private static func live(
    _ names: @escaping @Sendable (_ daemon: Daemon, _ word: String) throws -> [String]
  ) -> CompletionKind {
    .custom { line, index, prefix in
      // Before version 4, fish does not always tell where the cursor is.
      let isUntold = prefix.isEmpty && CompletionShell.requesting == .fish && line.indices.contains(index)
      let word = CompletionWord(isUntold ? line[index] : prefix)
      guard var daemon = try? Daemon.parse(CompletionWord.daemonOptions(of: line)) else { return [] }
      daemon.timeout = CompletionWord.patience
      let fitting = word.fitting((try? names(daemon, word.text)) ?? [])
      // To zsh, what is behind a colon is a description.
      return CompletionShell.requesting == .zsh ? fitting.map { $0.replacing(":", with: "\\:") } : fitting
    }
  }

  private static func everybody(_ daemon: Daemon) throws -> [PeersReport.Peer] {
    let report: PeersReport = try daemon.ask(.peers)
    return report.peers + (report.`self`.map { [$0] } ?? [])
  }

  /// An ordinary user, who is about to use sudo, may ask only who is there.
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
