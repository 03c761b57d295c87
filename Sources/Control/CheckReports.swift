// What was looked at and found, by explain and by netcheck.

/// One thing that was looked at.
public struct CheckReport: Codable, Sendable, Equatable {
  public enum Result: String, Codable, Sendable {
    case ok
    /// It works, but is not as it should be, or could not be seen.
    case warn
    case fail
    /// Not looked at, because of what went before.
    case skipped
  }

  /// What it is about, one word.
  public var name: String
  public var result: Result
  /// One line for people.
  public var finding: String
  /// What to do about it, if there is something.
  public var advice: String?

  public init(_ name: String, _ result: Result, _ finding: String, advice: String? = nil) {
    self.name = name
    self.result = result
    self.finding = finding
    self.advice = advice
  }
}

/// The answer to `explain`: the path from this host to a peer, step by step.
public struct ExplainReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// As it was asked for.
  public var peer: String
  /// Who that is, if it is known.
  public var deviceId: String?
  public var address: String?
  /// Whether all of the path does.
  public var works: Bool
  /// The name of the first step that fails.
  public var failedStep: String?
  /// The echoes of the relay and, from end to end, of the peer.
  public var relayRoundTripMs: Double?
  public var roundTripMs: Double?
  public var steps: [CheckReport]

  public init(peer: String, deviceId: String? = nil, address: String? = nil, steps: [CheckReport]) {
    self.peer = peer
    self.deviceId = deviceId
    self.address = address
    self.steps = steps
    failedStep = steps.first { $0.result == .fail }?.name
    works = failedStep == nil
  }
}

/// What netcheck finds before a device joins.
public struct NetcheckReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// Whether joining should.
  public var works: Bool
  /// Of this host alone.
  public var checks: [CheckReport]
  /// In the order in which a device tries them.
  public var servers: [ServerReport]
  /// What cannot be told before joining, for people.
  public var notMeasured: [String]

  public init(works: Bool, checks: [CheckReport], servers: [ServerReport], notMeasured: [String]) {
    self.works = works
    self.checks = checks
    self.servers = servers
    self.notMeasured = notMeasured
  }
}

/// The way to one server.
public struct ServerReport: Codable, Sendable, Equatable {
  public var server: String
  public var works: Bool
  /// The address that answered first, with its port.
  public var address: String?
  /// Of the key that it has proved to have, and the version of the protocol that it speaks.
  public var fingerprint: String?
  public var protocolVersion: Int?
  /// The median of those that were measured.
  public var roundTripMs: Double?
  /// In bytes, as the kernel knows them.
  public var segmentSize: Int?
  public var pathMtu: Int?
  /// The routers on the way that have told of themselves, the nearest first.
  public var routers: [String]
  public var checks: [CheckReport]

  public init(server: String, works: Bool = false, routers: [String] = [], checks: [CheckReport] = []) {
    self.server = server
    self.works = works
    self.routers = routers
    self.checks = checks
  }
}
