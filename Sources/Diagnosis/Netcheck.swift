// `netcheck` needs no permission from the relay's operator, because it ends one handshake early. That proves the
// relay's key, but tells neither its pool nor its speed, and `netcheck` says what it did not measure.

public import CommandLine
public import Config
public import Control
internal import SystemIO
internal import Wire

/// Whether joining should work, without joining.
public struct Netcheck: Sendable {
  public let report: NetcheckReport
  /// Success, or the worst of what fails: the highest status.
  public let status: ExitStatus

  private static let notMeasured = [
    "throughput: before a device is let in, nothing flows",
    "the address that the relay sees this host come from: it tells that to those that are let in",
    "the relay's clock: the protocol carries no time",
    "whether the relay lets this device in: that takes its key, its ID and perhaps an invite",
  ]

  /// Looks at this host, and at `servers` with `limit` for each of them. `keys` are what the relays may have, 32 bytes each; empty
  /// for those that are known. `own` are the interfaces of daemons that run here.
  public init(
    _ settings: Settings, servers: [ServerAddress], keys: [[UInt8]], configuration: CheckReport, own: [String] = [],
    within limit: Duration
  ) {
    let expectation = RelayExpectation(pinned: keys, directory: settings.join.state)
    let found = servers.map { ServerCheck($0, expectation, within: limit).run() }
    let reports = found.map(\.report)
    // A device joins the first that works.
    let network = found.first { $0.report.works }?.network
    var checks = [configuration] + HostCheck.checks(settings, network, own: own)
    // Servers that a wrong file may name are not missed.
    if servers.isEmpty, configuration.result != .fail {
      checks.append(
        CheckReport(
          "server", .fail, "no server is named",
          advice: "name one or an invite as an argument, or server in the configuration"))
    }
    let works = !checks.contains { $0.result == .fail } && reports.contains(where: \.works)
    report = NetcheckReport(works: works, checks: checks, servers: reports, notMeasured: Self.notMeasured)
    // One server that works is enough.
    let counting = checks + (reports.contains(where: \.works) ? [] : reports.flatMap(\.checks))
    let failures = counting.filter { $0.result == .fail }.map { Self.status(of: $0.name) }
    status = works ? .success : failures.max { $0.rawValue < $1.rawValue } ?? .unavailable
  }

  private static func status(of check: String) -> ExitStatus {
    switch check {
    case "configuration", "server": .configuration
    case "capability", "key": .noPermission
    case "tun": .systemError
    case "pool": .temporaryFailure
    default: .unavailable
    }
  }
}
