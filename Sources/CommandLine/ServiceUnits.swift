internal import SystemIO
internal import SystemPackage

/// What systemd knows of daemons that do not answer.
public enum ServiceUnits {
  /// Exists where systemd runs the host (sd_booted(3)).
  private static let mark = "/run/systemd/system"
  private static let patience = Duration.seconds(2)
  private static let properties = [
    "Id", "LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "UnitFileState",
  ]

  /// Whether systemd runs this host.
  public static var systemdRuns: Bool { (try? FileAttributes(of: mark)) != nil }

  /// The state of these units and what to do about it; `nil` if systemd does not know them. Waits for systemctl for at
  /// most `patience`.
  static func advice(_ units: [String]) -> String? {
    guard !units.isEmpty, systemdRuns, let output = show(units) else { return nil }
    return advice(from: output)
  }

  /// Reads the output of `systemctl show`: a line a property, an empty line between units. Only the first kind of these
  /// is told: failed units, units that start or stop, units that run, units that are stopped.
  static func advice(from output: String) -> String? {
    let told = output.split(separator: "\n\n").compactMap { block -> (Kind, String)? in
      var unit: [Substring: Substring] = [:]
      for line in block.split(separator: "\n") {
        guard let equals = line.firstIndex(of: "=") else { continue }
        unit[line[..<equals]] = line[line.index(after: equals)...]
      }
      return advice(on: unit)
    }
    guard let kind = told.map(\.0).min() else { return nil }
    return told.filter { $0.0 == kind }.map(\.1).joined(separator: "; ")
  }

  private enum Kind: Int, Comparable {
    case failed, starting, running, enabled, disabled

    static func < (left: Kind, right: Kind) -> Bool { left.rawValue < right.rawValue }
  }

  private static func advice(on unit: [Substring: Substring]) -> (Kind, String)? {
    let suffix = ".service"
    guard unit["LoadState"] == "loaded", let id = unit["Id"], id.hasSuffix(suffix) else { return nil }
    let name = id.dropLast(suffix.count)
    let result = unit["Result"] == "exit-code" ? "exit status \(unit["ExecMainStatus"] ?? "")" : unit["Result"] ?? ""
    let log = "journalctl -u \(name) says why"
    switch (unit["ActiveState"], unit["SubState"]) {
    case ("failed", _):
      return (.failed, "\(id) has failed (\(result)): \(log), and systemctl start \(name) starts it again")
    case ("activating", "auto-restart"):
      return (.starting, "\(id) has failed (\(result)) and is about to be started again: \(log)")
    case ("activating", _), ("reloading", _):
      return (.starting, "\(id) is being started: try again, or see systemctl status \(name)")
    case ("deactivating", _):
      return (.starting, "\(id) is being stopped: see systemctl status \(name)")
    case ("active", _):
      return (
        .running, "\(id) runs, but not at this socket: name its configuration (--config), or its socket (--socket)"
      )
    default:
      return unit["UnitFileState"] == "disabled"
        ? (.disabled, "\(id) is disabled: systemctl enable --now \(name) starts it, now and with the host")
        : (.enabled, "\(id) is stopped: systemctl start \(name) starts it")
    }
  }

  private static func show(_ units: [String]) -> String? {
    var command = ChildProcess.Command(
      "systemctl", ["show", "--no-pager", "--property=\(properties.joined(separator: ","))", "--"] + units,
      outputLimit: 64 << 10, timeout: patience)
    command.environment = ["PATH": environmentVariable("PATH") ?? "/usr/bin:/bin", "LC_ALL": "C"]
    do {
      let events = try EventLoop()
      var output: String?
      try ChildProcess(command, on: events) { outcome in
        if outcome.end == .exited(0) { output = String(decoding: outcome.output, as: UTF8.self) }
        events.stop()
      }
      events.run()
      return output
    } catch {
      return nil
    }
  }
}
