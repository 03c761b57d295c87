internal import Wire

/// The keys of a service.
enum ServiceMember: String, CaseIterable {
  case name, version, port, `protocol`, health

  /// The members of a service without its name, as in the file. Members with their defaults are left out.
  static func written(_ service: Orchestration.Service) -> [(name: String, value: String)] {
    let members: [(ServiceMember, String?)] = [
      (.version, service.version), (.port, service.port.map { "\($0)" }), (.protocol, service.protocol),
      (.health, service.health == .up ? nil : service.health.rawValue),
    ]
    return members.compactMap { member, value in value.map { (member.rawValue, $0) } }
  }
}

extension SettingsDecoder {
  /// One name or a list of services, each a name or a mapping. A name must not be listed twice.
  mutating func services(_ node: YAMLNode) -> [Orchestration.Service]? {
    guard case .sequence(let items) = node.content else {
      if case .scalar = node.content, !node.isNull {
        return value(node, .serviceName).map { [Orchestration.Service(name: $0)] }
      }
      let members = ServiceMember.allCases.map(\.rawValue).joined(separator: ", ")
      report(
        node.mark,
        "\(node.kind) instead of a list of services; expected names, or mappings with the keys \(members)")
      return nil
    }
    let limit = Orchestration.maximumServices
    if items.count > limit { report(items[limit].mark, "more than \(limit) services") }
    var services: [Orchestration.Service] = []
    var lines: [String: Int] = [:]
    for item in items.prefix(limit) {
      guard let service = service(item) else { continue }
      if let line = lines.updateValue(item.mark.line, forKey: service.name) {
        report(item.mark, "\(service.name) is listed twice; first on line \(line)")
      }
      services.append(service)
    }
    return services
  }

  private mutating func service(_ node: YAMLNode) -> Orchestration.Service? {
    guard case .mapping = node.content else {
      return value(node, .serviceName).map { Orchestration.Service(name: $0) }
    }
    let names = ServiceMember.allCases.map(\.rawValue)
    var service = Orchestration.Service(name: "")
    var hasName = false
    let former = problems.count
    for (name, _, node) in members(node, names, unknown: { Self.unknownKey($0, among: names) }) {
      switch ServiceMember(rawValue: name) {
      case .name:
        hasName = true
        service.name = value(node, .serviceName) ?? ""
      case .version: service.version = value(node, .serviceVersion)
      case .port: service.port = value(node, .port).map { Int($0) }
      case .protocol: service.protocol = value(node, .serviceProtocol)
      case .health: service.health = value(node, .health) ?? .up
      case nil: break
      }
    }
    // A misspelt key has been reported.
    if !hasName, problems.count == former {
      report(node.mark, "a service without a name; write name: and what it is called")
    }
    return service.name.isEmpty ? nil : service
  }
}
