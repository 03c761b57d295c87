// The findings of explain and netcheck.

/// One check.
public struct CheckReport: Codable, Sendable, Equatable {
  public enum Result: String, Codable, Sendable {
    case ok
    /// It works but is not as it should be, or the check could not be made.
    case warn
    case fail
    /// Not checked, because an earlier check failed.
    case skipped
  }

  /// One word.
  public var name: String
  public var result: Result
  /// One line for people.
  public var finding: String
  /// What the operator can do about it.
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
  /// As the request named it.
  public var peer: String
  /// The peer's ID, if it is known.
  public var deviceId: String?
  public var address: String?
  /// Whether the whole path works.
  public var works: Bool
  /// The name of the first step that fails.
  public var failedStep: String?
  /// Round trips of the echoes to the relay and, end to end, to the peer.
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

/// What `mnedc-ctl netcheck` prints with --json.
public struct NetcheckReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// Whether joining should work.
  public var works: Bool
  /// The checks of this host.
  public var checks: [CheckReport]
  /// In the order in which a device tries them.
  public var servers: [ServerReport]
  /// What cannot be measured before joining, for people.
  public var notMeasured: [String]

  public init(works: Bool, checks: [CheckReport], servers: [ServerReport], notMeasured: [String]) {
    self.works = works
    self.checks = checks
    self.servers = servers
    self.notMeasured = notMeasured
  }
}

/// The checks of one server.
public struct ServerReport: Codable, Sendable, Equatable {
  public var server: String
  public var works: Bool
  /// The address that answered first, with its port.
  public var address: String?
  /// The fingerprint of the key that it proved, and its version of the protocol.
  public var fingerprint: String?
  public var protocolVersion: Int?
  /// The median of the measurements.
  public var roundTripMs: Double?
  /// In bytes, as the kernel knows them.
  public var segmentSize: Int?
  public var pathMtu: Int?
  /// The routers on the path that answered, the nearest first.
  public var routers: [String]
  public var checks: [CheckReport]

  public init(server: String, works: Bool = false, routers: [String] = [], checks: [CheckReport] = []) {
    self.server = server
    self.works = works
    self.routers = routers
    self.checks = checks
  }
}
