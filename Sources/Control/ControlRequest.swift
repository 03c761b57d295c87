/// A request as it goes over the socket, for example:
///
///     {"command":"invite","device_id":"cam","expires_s":86400,"uses":3,"version":1}
struct ControlRequest: Encodable {
  let command: ControlCommand

  init(_ command: ControlCommand) {
    self.command = command
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: MemberName.self)
    try container.encode(1, forKey: MemberName(stringValue: "version"))
    let kind = command.kind
    try container.encode(kind.name, forKey: MemberName(stringValue: "command"))
    _ = try kind.write(command, &container)
  }

  /// Throws `badRequest`, with what would be right.
  init(parsing line: some Collection<UInt8>) throws(ControlError) {
    guard var members = RequestMembers(line), let name = try? RequestMember.text("command").read(&members),
      let version: Int = try? members.take("version", "a whole number")
    else {
      throw ControlError(.badRequest, "a request is a JSON object with a version and a command")
    }
    guard version == 1 else { throw ControlError(.badRequest, "this daemon answers requests of version 1") }
    guard let kind = ControlCommand.Kind(named: name) else {
      let known = ControlCommand.Kind.all.map(\.name).joined(separator: ", ")
      throw ControlError(.badRequest, "there is no such command; there are \(known)")
    }
    command = try kind.read(&members)
    if let other = members.rest.first {
      throw ControlError(.badRequest, "a request for \(name) has no member \(other)")
    }
  }
}
