public import ArgumentParser
internal import Control

extension CommandConfiguration {
  /// The configuration of the subcommand for a control command. Its name, its line of help and the sentence that says
  /// who may use it come from the table.
  public init(for name: String, _ discussion: String = "") {
    guard let kind = ControlCommand.Kind(named: name) else { preconditionFailure("there is no command \(name)") }
    let audience =
      switch (kind.audience, kind.daemons) {
      case (.everybody, _): "Any user may ask."
      case (.owner, .both): "For root, and for the daemon's user."
      case (.owner, .relay): "For root, and for the relay's user."
      }
    self.init(
      commandName: kind.typed.split(separator: " ").last.map { String($0) }, abstract: kind.help,
      discussion: discussion.isEmpty ? audience : "\(discussion) \(audience)")
  }
}
