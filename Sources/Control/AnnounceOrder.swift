public import Wire

/// A change of what the device announces. The daemon applies all of it or nothing.
public struct AnnounceOrder: Sendable, Equatable {
  /// First withdraws everything that was announced.
  public var reset = false
  /// A `nil` version, port or protocol stays as it was announced or configured.
  public var services: [Orchestration.Service] = []
  /// Names of services for which the configuration holds again.
  public var withdrawnServices: [String] = []
  public var labels: [String: String] = [:]
  public var withdrawnLabels: [String] = []
  public var load: Load?

  public enum Load: Sendable, Equatable {
    case number(Double)
    /// Stop announcing a load.
    case nothing
  }

  public init() {}

  /// Whether the order changes nothing and only asks for what is announced.
  public var isEmpty: Bool { self == AnnounceOrder() }
}

// MARK: On the socket

extension AnnounceOrder {
  /// The values of a request's members, in the order of the table's row.
  var members: (Bool, [Orchestration.Service], [String], [String: String], [String], Double?, Bool) {
    var number: Double?
    if case .number(let load)? = load { number = load }
    return (reset, services, withdrawnServices, labels, withdrawnLabels, number, load == .nothing)
  }

  init(
    _ reset: Bool, _ services: [Orchestration.Service], _ withdrawnServices: [String], _ labels: [String: String],
    _ withdrawnLabels: [String], load: Double?, noLoad: Bool
  ) throws(ControlError) {
    guard load == nil || !noLoad else { throw ControlError(.badRequest, "load and no_load do not go together") }
    (self.reset, self.services, self.withdrawnServices) = (reset, services, withdrawnServices)
    (self.labels, self.withdrawnLabels) = (labels, withdrawnLabels)
    self.load = load.map { .number($0) } ?? (noLoad ? .nothing : nil)
  }
}
