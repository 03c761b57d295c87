public import Config
internal import Control

/// Takes the configuration file's changes over while the daemon runs. Owned by the main thread.
public final class Reloading {
  // Set once.
  let role: Settings.Role
  private let read: () throws -> Settings
  private let apply: (inout Settings) -> Void

  /// What the daemon goes by: a key that needs a restart keeps the value from the start.
  public internal(set) var inForce: Settings

  /// `read` gives the settings that a daemon started now would go by. `apply` takes over what may change while the
  /// daemon runs, and puts the old value back where that fails.
  public init(
    _ role: Settings.Role, inForce: Settings, read: @escaping () throws -> Settings,
    apply: @escaping (inout Settings) -> Void
  ) {
    self.role = role
    self.inForce = inForce
    self.read = read
    self.apply = apply
  }

  /// Reads the file and takes over what can be; `applyCommon` does so for what both daemons have. Throws, with nothing
  /// changed, if the file has any mistake.
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
