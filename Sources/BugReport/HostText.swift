internal import SystemIO
internal import Tun
internal import Wire

/// Facts about the host for a bug report, as far as this user may read them. No program is run.
public enum HostText {
  private static let unknown = "not known"
  private static let limit = 64 << 10
  /// An Internet router has very many routes; the first ones suffice.
  private static let maximumNetworks = 500

  /// The kernel and the distribution.
  public static func system() -> String {
    let release = content("/etc/os-release").split(separator: "\n").first { $0.hasPrefix("PRETTY_NAME=") }
    let name = release.map { $0.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" } }
    return """
      kernel  Linux \(content("/proc/sys/kernel/osrelease", or: unknown)), \(currentPlatform)
      system  \(name ?? unknown)
      memory  \(content("/proc/meminfo").split(separator: "\n").first.map { String($0) } ?? unknown)
      TUN     \((try? exists("/dev/net/tun")) == true ? "/dev/net/tun is there" : "there is no /dev/net/tun")
      """
  }

  /// Interfaces with state and MTU, and networks that this host has addresses in or routes to.
  public static func network() -> String {
    var lines = ["interfaces:"]
    for name in ((try? Directory("/sys/class/net").names()) ?? []).sorted() {
      func value(_ attribute: String) -> String { content("/sys/class/net/\(name)/\(attribute)", or: unknown) }
      lines.append("  \(name)  \(value("operstate")), MTU \(value("mtu")), flags \(value("flags"))")
    }
    lines.append("networks by address, and routes of the main table but for default routes:")
    do {
      let networks = try HostNetworks.list()
      lines += networks.prefix(maximumNetworks).map { "  \($0)" }
      if networks.count > maximumNetworks { lines.append("  and \(networks.count - maximumNetworks) more") }
    } catch {
      lines.append("  \(error)")
    }
    lines += ["default routes:"] + defaultRoutes().map { "  \($0)" }
    return lines.joined(separator: "\n")
  }

  /// Of IPv4, from /proc/net/route: interface, destination, gateway, …, the mask as the eighth; addresses as the
  /// processor keeps them.
  private static func defaultRoutes() -> [String] {
    let routes = content("/proc/net/route").split(separator: "\n").dropFirst().compactMap { line -> String? in
      let fields = line.split(separator: "\t").map { $0.filter { $0 != " " } }
      guard fields.count > 7, fields[1] == "00000000", fields[7] == "00000000",
        let gateway = UInt32(fields[2], radix: 16)
      else { return nil }
      return "by \(IPv4Address(bits: UInt32(bigEndian: gateway))) on \(fields[0])"
    }
    return routes.isEmpty ? ["none of IPv4"] : Array(routes.prefix(maximumNetworks))
  }

  private static func content(_ path: String, or other: String = "") -> String {
    guard let bytes = try? readFile(path, limit: limit) else { return other }
    let text = String(decoding: bytes, as: UTF8.self)
    return String(text.last == "\n" ? text.dropLast() : text[...])
  }
}
