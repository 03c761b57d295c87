/// What an operator announced through a running device, on top of its configuration's orchestration information.
public struct Announcement: Codable, Sendable, Equatable {
  /// No two of one name. A missing version, port or protocol is taken from the configuration's service of that name.
  public var services: [Orchestration.Service]
  public var labels: [String: String]
  private var version = 1

  public init(services: [Orchestration.Service] = [], labels: [String: String] = [:]) {
    self.services = services
    self.labels = labels
  }

  /// The information with the announcement added, valid or not.
  public func on(_ information: Orchestration) -> Orchestration {
    var result = information
    result.add(services)
    result.labels.merge(labels) { _, announced in announced }
    return result
  }

  /// `information`, which has to be valid, with as much of the announcement as fits, labels first; and the names of
  /// what does not fit.
  public func fitting(on information: Orchestration) -> (information: Orchestration, leftOut: [String]) {
    let whole = on(information)
    if whole.obstacle == nil { return (whole, []) }
    var result = information
    var leftOut: [String] = []
    for (name, value) in labels.sorted(by: { $0.key < $1.key }) {
      var more = result
      more.labels[name] = value
      if more.obstacle == nil { result = more } else { leftOut.append(name) }
    }
    for service in services {
      var more = result
      more.add([service])
      if more.obstacle == nil { result = more } else { leftOut.append(service.name) }
    }
    return (result, leftOut)
  }
}

extension Orchestration {
  fileprivate mutating func add(_ announced: [Service]) {
    for service in announced {
      if let index = services.firstIndex(where: { $0.name == service.name }) {
        services[index] = service.completed(by: services[index])
      } else {
        services.append(service)
      }
    }
  }
}

extension Orchestration.Service {
  /// With the other's version, port and protocol where this one has none.
  public func completed(by other: Orchestration.Service) -> Orchestration.Service {
    Orchestration.Service(
      name: name, version: version ?? other.version, port: port ?? other.port,
      protocol: self.protocol ?? other.protocol, health: health)
  }
}

extension Announcement {
  /// Reads what `encoded` has written; `nil` for anything else.
  public init?(decoding bytes: [UInt8]) {
    let result = bytes.withUnsafeBytes { try? JSON.decode(Announcement.self, $0) }
    guard let result, result.version == 1 else { return nil }
    let alone = result.on(Orchestration(deviceID: "x", revision: 0, platform: currentPlatform))
    // Services of one name would become one.
    guard alone.problem == nil, alone.services == result.services else { return nil }
    self = result
  }

  /// The announcement as JSON on a line of its own.
  public func encoded() -> [UInt8] { JSON.encode(self) + [UInt8(ascii: "\n")] }
}
