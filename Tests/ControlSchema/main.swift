import Control

/// The table of control commands as JSON, for the tests in Python.
struct Schema: Encodable {
  struct Command: Encodable {
    let name: String
    let audience: String
    let daemons: String
    let typed: String
    let members: [String]
  }

  let maximumRequest = ControlCommand.maximumRequest
  let commands = ControlCommand.Kind.all.map { kind in
    Command(
      name: kind.name, audience: kind.audience.rawValue, daemons: kind.daemons.rawValue, typed: kind.typed,
      members: kind.members)
  }
}

print(JSON.pretty(Schema()))
