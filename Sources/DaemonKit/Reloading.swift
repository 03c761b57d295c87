public import Config
internal import Control

/// Takes the configuration file's changes over while the daemon runs. Owned by the main thread.
public final class Reloading {
  // Set once.
  private let role: Settings.Role
  private let read: () throws -> Settings
  private let apply: (inout Settings) -> Void

  /// What the daemon goes by: a key that needs a restart keeps the value from the start.
  var inForce: Settings

  /// `read` gives what a daemon that is started now would go by, `apply` takes over what may change while it runs,
  /// and puts the old value back where that fails.
  public init(
    _ role: Settings.Role, inForce: Settings, read: @escaping () throws -> Settings,
    apply: @escaping (inout Settings) -> Void
  ) {
    self.role = role
    self.inForce = inForce
    self.read = read
    self.apply = apply
  }

  /// Reads the file and takes over what can be. Throws, with nothing changed, if the file is wrong in any place.
  func reload() throws -> ReloadReport {
    let wanted = try read()
    let former = inForce
    var next = former.takingOver(wanted, for: role)
    apply(&next)
    inForce = next
    return ReloadReport(
      applied: former.changes(to: inForce, for: role).map { ReloadReport.Change($0) },
      needsRestart: inForce.changes(to: wanted, for: role).map { ReloadReport.Change($0) })
  }
}

extension ReloadReport.Change {
  fileprivate init(_ change: Settings.Change) {
    self.init(key: change.key, old: change.old, new: change.new)
  }
}
