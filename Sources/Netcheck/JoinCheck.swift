// `netcheck` needs no permission from the relay's operator, because it ends one handshake early. That proves the
// relay's key, but tells neither its pool nor its speed, and `netcheck` says what it did not measure.

public import CommandLine
public import Config
public import Control
internal import SystemIO
internal import Tun
internal import Wire

/// Whether joining should work, found out without joining.
public struct JoinCheck: Sendable {
  public let report: NetcheckReport
  /// Success, or the highest status of all failures.
  public let status: ExitStatus

  private static let notMeasured = [
    "throughput: before a device is admitted, the relay forwards nothing",
    "the address that the relay sees this host come from: it tells that to admitted devices",
    "the relay's clock: the protocol carries no time",
    "whether the relay admits this device: that takes its key, its ID and perhaps an invite",
  ]

  /// Checks this host, and each of `servers` within `limit`. `keys` are the relay keys that the configuration or an
  /// invite pins, 32 bytes each. `own` are the interfaces of daemons that run here.
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
    // An invalid file may name servers.
    if servers.isEmpty, configuration.result != .fail {
      let advice = "name one or an invite as an argument, or server in the configuration"
      checks.append(Finding.fail("no server is named", advice).named("server"))
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

/// What a check has found. `package`, since `Explain` uses it for its steps.
package struct Finding {
  package let result: CheckReport.Result
  /// For people.
  package let text: String
  /// What to do about it, if anything.
  package var advice: String?

  package static func ok(_ text: String) -> Finding { Finding(result: .ok, text: text) }
  package static func skipped(_ text: String) -> Finding { Finding(result: .skipped, text: text) }

  package static func warn(_ text: String, _ advice: String? = nil) -> Finding {
    Finding(result: .warn, text: text, advice: advice)
  }

  package static func fail(_ text: String, _ advice: String?) -> Finding {
    Finding(result: .fail, text: text, advice: advice)
  }

  package func named(_ name: String) -> CheckReport { CheckReport(name, result, text, advice: advice) }
}

/// Checks what joining needs of this host. Changes nothing.
enum HostCheck {
  /// 2026-01-01: an earlier clock is wrong, since this program is newer.
  private static let earliest: Int64 = 1_767_225_600

  /// `network` is the relay's, as it tells it; `own` are the interfaces of daemons that run here.
  static func checks(_ settings: Settings, _ network: NetworkNotice? = nil, own: [String] = []) -> [CheckReport] {
    [
      tun(settings.join.interface, own).named("tun"), capability().named("capability"), pool(settings, network, own),
      clock().named("clock"),
    ]
  }

  private static let askRoot = "run mnedc-join as root; netcheck as root tells whether that is enough"

  private static func tun(_ interface: String, _ own: [String]) -> Finding {
    do {
      try LinuxTun.checkDevice()
    } catch {
      if case .deviceRefused = error, currentUser() != 0 {
        return .warn("/dev/net/tun exists, but not for this user", askRoot)
      }
      return failure(error)
    }
    if own.contains(interface) {
      return .ok("/dev/net/tun opens, and \(interface) is the interface of the daemon that runs here")
    }
    if (try? InterfaceState.look(at: interface)) ?? nil != nil {
      return .warn(
        "/dev/net/tun opens, but there is an interface \(interface) already",
        "if that is a running mnedc-join's, all is well; else choose another name (join.interface)")
    }
    return .ok("/dev/net/tun opens, and the name \(interface) is free")
  }

  /// The error's advice follows its first semicolon.
  private static func failure(_ error: TunError) -> Finding {
    let parts = "\(error)".split(separator: ";", maxSplits: 1).map { String($0.drop { $0 == " " }) }
    return .fail(parts[0], parts.dropFirst().first)
  }

  private static func capability() -> Finding {
    if Privileges.has(.netAdmin) { return .ok("this process has CAP_NET_ADMIN, which making an interface needs") }
    if currentUser() != 0 { return .warn("this user lacks CAP_NET_ADMIN, which making an interface needs", askRoot) }
    return .fail(
      "root lacks CAP_NET_ADMIN here, which making an interface needs",
      "give it to the container (--cap-add NET_ADMIN), or leave it to the unit (CapabilityBoundingSet=)")
  }

  /// The pool that the relay tells; if none answers, the configuration's.
  private static func pool(_ settings: Settings, _ network: NetworkNotice?, _ own: [String]) -> CheckReport {
    // A device that runs has joined before.
    let isKnown = own.contains(settings.join.interface)
    let own = own + [settings.join.interface, settings.relay.interface]
    do throws(TunError) {
      let networks = try HostNetworks.list().filter { network in !own.contains { $0 == network.interface } }
      return pool(settings, network, networks, isKnown).named("pool")
    } catch .noNetlink(let error) {
      // Joining needs a netlink socket, too.
      return failure(.noNetlink(error)).named("netlink")
    } catch {
      return Finding.warn("this host's networks cannot be listed: \(error)").named("pool")
    }
  }

  private static func pool(
    _ settings: Settings, _ network: NetworkNotice?, _ networks: [HostNetwork], _ isKnown: Bool
  ) -> Finding {
    if let network {
      let pools = HostNetwork.Prefix.pools(network.pool, network.pool6)
      guard let collision = NetworkCollision(of: pools, with: networks, isKnown: isKnown) else {
        return .ok("the relay's pool \(network.pool) is clear of this host's networks")
      }
      return settings.join.allowOverlap
        ? .ok("\(collision), which join.allow-overlap allows")
        : .fail(
          "\(collision)", "\(collision.advice), or allow it (join.allow-overlap)")
    }
    guard case .prefix(let pool) = settings.relay.pool else {
      return .skipped("the relay chooses its pool, and tells it when it is reached")
    }
    let isDefault = Settings().relay.pool == settings.relay.pool
    let which = isDefault ? "the default pool \(pool)" : "the pool \(pool) of this configuration"
    if let collision = NetworkCollision(of: HostNetwork.Prefix.pools(pool, nil), with: networks) {
      return .warn(
        "\(collision); \(isDefault ? "it is the default pool, and the relay may have another" : which)",
        "if the relay has this pool, have it use another (relay.pool: auto), or allow it (join.allow-overlap)")
    }
    return .ok("\(which) is clear of this host's networks; the relay tells its own when it is reached")
  }

  /// Joining does not depend on it, and the protocol carries no time to compare it with.
  private static func clock() -> Finding {
    let advice =
      "joining does not depend on it, but what logs say does: have a program keep it (timedatectl set-ntp true)"
    guard UnixTime.now() >= earliest else { return .warn("the clock is wrong: it is before 2026", advice) }
    switch UnixTime.isKept {
    case true: return .ok("a program keeps the clock right")
    case false: return .warn("no program keeps the clock right", advice)
    default: return .skipped("the kernel does not say whether a program keeps the clock right")
    }
  }
}
