public import Wire

/// What is to be announced; all of it is one change.
public struct AnnounceOrder: Sendable, Equatable {
  /// Forget all that was announced before, then do the rest.
  public var reset = false
  /// What is open in one of them (version, port, protocol) stays as it was announced, or as the configuration has it.
  public var services: [Orchestration.Service] = []
  /// Names of services that are to be as the configuration has them, if it does.
  public var withdrawnServices: [String] = []
  public var labels: [String: String] = [:]
  public var withdrawnLabels: [String] = []
  public var load: Load?

  public enum Load: Sendable, Equatable {
    case number(Double)
    /// Say nothing of it any more.
    case nothing
  }

  public init() {}

  /// Whether it only asks what is told now.
  public var isEmpty: Bool { self == AnnounceOrder() }
}

// MARK: On the socket

extension AnnounceOrder {
  func encode(to container: inout KeyedEncodingContainer<MemberName>) throws {
    if reset { try container.encode(true, forKey: "reset") }
    if !services.isEmpty { try container.encode(services, forKey: "services") }
    if !withdrawnServices.isEmpty { try container.encode(withdrawnServices, forKey: "withdraw") }
    if !labels.isEmpty { try container.encode(labels, forKey: "labels") }
    if !withdrawnLabels.isEmpty { try container.encode(withdrawnLabels, forKey: "no_labels") }
    switch load {
    case .number(let number): try container.encode(number, forKey: "load")
    case .nothing: try container.encode(true, forKey: "no_load")
    case nil: break
    }
  }

  /// Takes the members and checks each of them by itself.
  init(_ members: inout RequestMembers) throws(ControlError) {
    reset = try members.flag("reset")
    services =
      try members.value(
        "services",
        "a list of objects with name and health (up, degraded or down), and perhaps version, port and protocol")
      ?? []
    withdrawnServices = try members.texts("withdraw")
    labels = try members.value("labels", "an object of texts") ?? [:]
    withdrawnLabels = try members.texts("no_labels")
    let number: Double? = try members.value("load", "a number")
    let noLoad = try members.flag("no_load")
    guard number == nil || !noLoad else {
      throw ControlError(.badRequest, "load and no_load do not go together")
    }
    load = number.map { .number($0) } ?? (noLoad ? .nothing : nil)
  }
}
