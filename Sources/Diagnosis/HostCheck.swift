internal import Config
internal import Control
internal import SystemIO
internal import Tun
internal import Wire

/// Looks at what joining asks of this host. Changes nothing.
enum HostCheck {
  /// Of no use to compare with: it is from before this program was made (2026-01-01).
  private static let earliest: Int64 = 1_767_225_600

  /// `network` is what the relay tells of its own; `own` are the interfaces of daemons that run here.
  static func checks(_ settings: Settings, _ network: NetworkNotice? = nil, own: [String] = []) -> [CheckReport] {
    [tun(settings.join.interface, own), capability(), pool(settings, network, own), clock()]
  }

  private static func tun(_ interface: String, _ own: [String]) -> CheckReport {
    do {
      try LinuxTun.checkDevice()
    } catch {
      if case .deviceRefused = error, currentUser() != 0 {
        return CheckReport(
          "tun", .warn, "/dev/net/tun is there, and not for this user",
          advice: "run mnedc-join as root; netcheck as root tells whether that is enough")
      }
      // What to do stands behind the first semicolon.
      let parts = "\(error)".split(separator: ";", maxSplits: 1).map { $0.drop { $0 == " " } }
      return CheckReport("tun", .fail, String(parts[0]), advice: parts.dropFirst().first.map { String($0) })
    }
    if own.contains(interface) {
      return CheckReport(
        "tun", .ok, "/dev/net/tun opens, and \(interface) is the interface of the daemon that runs here")
    }
    if (try? InterfaceState.look(at: interface)) ?? nil != nil {
      return CheckReport(
        "tun", .warn, "/dev/net/tun opens, but there is an interface \(interface) already",
        advice: "if that is a running mnedc-join's, all is well; else choose another name (join.interface)")
    }
    return CheckReport("tun", .ok, "/dev/net/tun opens, and the name \(interface) is free")
  }

  private static func capability() -> CheckReport {
    if Privileges.has(.netAdmin) {
      return CheckReport("capability", .ok, "CAP_NET_ADMIN is there, to make an interface")
    }
    if currentUser() == 0 {
      return CheckReport(
        "capability", .fail, "root lacks CAP_NET_ADMIN here, which making an interface needs",
        advice: "give it to the container (--cap-add NET_ADMIN), or leave it to the unit (CapabilityBoundingSet=)")
    }
    return CheckReport(
      "capability", .warn, "this user lacks CAP_NET_ADMIN, which making an interface needs",
      advice: "run mnedc-join as root; netcheck as root tells whether that is enough")
  }

  /// The pool that the relay tells; while none answers, the one that the configuration has.
  private static func pool(_ settings: Settings, _ network: NetworkNotice?, _ own: [String]) -> CheckReport {
    let own = own + [settings.join.interface, settings.relay.interface]
    do throws(TunError) {
      let networks = try HostNetworks.list().filter { network in !own.contains { $0 == network.interface } }
      if let network {
        let pools = HostNetwork.Prefix.pools(network.pool, network.pool6)
        guard let collision = NetworkCollision(of: pools, with: networks) else {
          return CheckReport("pool", .ok, "the relay's pool \(network.pool) is clear of this host's networks")
        }
        guard !settings.join.allowOverlap else {
          return CheckReport("pool", .ok, "\(collision), which join.allow-overlap allows")
        }
        return CheckReport(
          "pool", .fail, "\(collision)",
          advice: "have the relay use another pool (relay.pool: auto), or allow it (join.allow-overlap)")
      }
      guard case .prefix(let pool) = settings.relay.pool else {
        return CheckReport("pool", .skipped, "the relay chooses its pool, and tells it when it is reached")
      }
      let isDefault = Settings().relay.pool == settings.relay.pool
      let which = isDefault ? "the default pool \(pool)" : "the pool \(pool) of this configuration"
      if let collision = NetworkCollision(of: HostNetwork.Prefix.pools(pool, nil), with: networks) {
        return CheckReport(
          "pool", .warn,
          "\(collision); \(isDefault ? "it is the default pool, and the relay may have another" : which)",
          advice: "if the relay has this pool, have it use another (relay.pool: auto), or allow it (join.allow-overlap)"
        )
      }
      return CheckReport(
        "pool", .ok, "\(which) is clear of this host's networks; the relay tells its own when it is reached")
    } catch .noNetlink(let error) {
      // Joining needs one, too.
      let parts = "\(TunError.noNetlink(error))".split(separator: ";", maxSplits: 1).map { $0.drop { $0 == " " } }
      return CheckReport("netlink", .fail, String(parts[0]), advice: String(parts[1]))
    } catch {
      return CheckReport("pool", .warn, "this host's networks cannot be listed: \(error)")
    }
  }

  /// Joining does not depend on it, and the protocol carries no time to compare it with.
  private static func clock() -> CheckReport {
    let advice =
      "joining does not depend on it, but what logs say does: have a program keep it (timedatectl set-ntp true)"
    guard UnixTime.now() >= earliest else {
      return CheckReport("clock", .warn, "the clock is wrong: it is before 2026", advice: advice)
    }
    switch UnixTime.isKept {
    case true: return CheckReport("clock", .ok, "a program keeps the clock right")
    case false: return CheckReport("clock", .warn, "no program keeps the clock right", advice: advice)
    default: return CheckReport("clock", .skipped, "the kernel does not say whether a program keeps the clock right")
    }
  }
}
