extension ControlCommand {
  /// What all requests for one command have in common: a row of the table.
  public struct Kind: Sendable {
    public enum Audience: String, Sendable {
      /// Any user of the host.
      case everybody
      /// Root, and the user that the daemon runs as.
      case owner
    }

    public enum Daemons: String, Sendable {
      case both
      case relay
    }

    /// On the socket.
    public let name: String
    public let audience: Audience
    public let daemons: Daemons
    /// What people type to ask for it.
    public let typed: String
    /// One line of the tool's help. Empty if no subcommand stands for the command alone.
    public let help: String
    /// The names of the members that a request may have beside `version` and `command`.
    package let members: [String]
    /// Writes the members of a command of this kind; false for a command of another kind.
    let write: @Sendable (ControlCommand, inout RequestContainer) throws -> Bool
    /// Takes these members out of a request.
    let read: @Sendable (inout RequestMembers) throws(ControlError) -> ControlCommand
    fileprivate let includes: @Sendable (ControlCommand) -> Bool

    /// A command without members.
    init(
      _ name: String, _ audience: Audience, _ daemons: Daemons, typed: String? = nil, help: String = "",
      _ command: ControlCommand
    ) {
      self.init(
        name, audience, daemons, typed: typed, help: help, make: { command }, take: { $0 == command ? () : nil })
    }

    /// `make` builds the command from the values of its members. `take` returns the values of a command of this kind,
    /// and `nil` for other commands.
    init<each Value>(
      _ name: String, _ audience: Audience, _ daemons: Daemons, typed: String? = nil, help: String = "",
      _ members: repeat RequestMember<each Value>,
      make: @escaping @Sendable (repeat each Value) throws(ControlError) -> ControlCommand,
      take: @escaping @Sendable (ControlCommand) -> (repeat each Value)?
    ) {
      (self.name, self.audience, self.daemons, self.help) = (name, audience, daemons, help)
      self.typed = typed ?? "mnedc-ctl \(name)"
      var names: [String] = []
      for member in repeat each members { names.append(member.name) }
      self.members = names
      includes = { take($0) != nil }
      write = { command, container in
        guard let values = take(command) else { return false }
        repeat try (each members).write(each values, &container)
        return true
      }
      read = { request throws(ControlError) in try make(repeat (each members).read(&request)) }
    }

    public init?(named name: String) {
      guard let kind = Self.all.first(where: { $0.name == name }) else { return nil }
      self = kind
    }
  }

  /// The row of this command.
  public var kind: Kind {
    guard let kind = Kind.all.first(where: { $0.includes(self) }) else {
      preconditionFailure("the table has no row for \(self)")
    }
    return kind
  }
}
