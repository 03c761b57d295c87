public import Config
internal import Control

/// Applies changes of the configuration file while the daemon runs. Owned by the main thread.
public final class Reloading {
  // Set once.
  let role: Settings.Role
  private let read: () throws -> Settings
  private let apply: (inout Settings) -> Void

  /// The settings in force: a key that needs a restart keeps its value.
  public internal(set) var inForce: Settings

  /// `read` gives the settings that a daemon started now would have. `apply` applies the settings that may change while
  /// the daemon runs, and restores the old value of a setting that it cannot apply.
  public init(
    _ role: Settings.Role, inForce: Settings, read: @escaping () throws -> Settings,
    apply: @escaping (inout Settings) -> Void
  ) {
    self.role = role
    self.inForce = inForce
    self.read = read
    self.apply = apply
  }

  /// Reads the file and applies what can change; `applyCommon` does so for the settings of both daemons. Throws if the
  /// file has a mistake, and then changes nothing.
  func reload(_ applyCommon: (inout Settings) -> Void) throws -> ReloadReport {
    let wanted = try read()
    let former = inForce
    var next = former.takingOver(wanted, for: role)
    applyCommon(&next)
    apply(&next)
    inForce = next
    return ReloadReport(
      applied: former.changes(to: next, for: role).map { ReloadReport.Change($0) },
      needsRestart: next.changes(to: wanted, for: role).map { ReloadReport.Change($0) })
  }
}

extension ReloadReport.Change {
  fileprivate init(_ change: Settings.Change) {
    self.init(key: change.key, old: change.old, new: change.new)
  }
}
