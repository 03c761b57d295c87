internal import FoundationEssentials

/// What a device was told to tell its peers while it runs, on top of what its configuration says.
public struct Announcement: Codable, Sendable, Equatable {
  /// No two of one name. What one of them leaves open (version, port, protocol) is as the configuration has it for the
  /// service of that name.
  public var services: [Orchestration.Service]
  public var labels: [String: String]
  private var version = 1

  public init(services: [Orchestration.Service] = [], labels: [String: String] = [:]) {
    self.services = services
    self.labels = labels
  }

  /// What is told then, whether it may be or not.
  public func on(_ information: Orchestration) -> Orchestration {
    var result = information
    result.add(services)
    result.labels.merge(labels) { _, announced in announced }
    return result
  }

  /// As much of it as can be told, labels first, and the names of what is left out. All of `information` is told, which has to
  /// be valid.
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
  /// With what the other says of version, port and protocol where this one says nothing.
  public func completed(by other: Orchestration.Service) -> Orchestration.Service {
    Orchestration.Service(
      name: name, version: version ?? other.version, port: port ?? other.port,
      protocol: self.protocol ?? other.protocol,
      health: health)
  }
}

// MARK: As a file

extension Announcement {
  /// What `encoded` has written; `nil` for anything else.
  public init?(decoding bytes: [UInt8]) {
    guard let result = try? JSONDecoder().decode(Announcement.self, from: Data(bytes)), result.version == 1 else {
      return nil
    }
    let alone = result.on(Orchestration(deviceID: "x", revision: 0, platform: currentPlatform))
    // Services of one name would become one.
    guard alone.problem == nil, alone.services == result.services else { return nil }
    self = result
  }

  /// JSON on a line of its own.
  public func encoded() -> [UInt8] {
    guard let data = try? ControlMessage.encoder.encode(self) else {
      preconditionFailure("every announcement is valid JSON")
    }
    return Array(data) + [UInt8(ascii: "\n")]
  }
}
