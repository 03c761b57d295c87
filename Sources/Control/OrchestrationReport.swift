public import Wire

/// The answer to `announce`: the information that the device sends to its peers now.
public struct OrchestrationReport: Codable, Sendable, Equatable {
  public private(set) var version = JSONVersion()
  /// Rises with every change.
  public var revision: Int
  public var deviceId: String
  public var hostName: String?
  public var platform: String
  public var executionType: String?
  public var services: [Orchestration.Service]
  public var labels: [String: String]
  public var load: Double?
  public var place: Orchestration.Location?
  /// The names of announced services and labels, which can be withdrawn.
  public var announcedServices: [String]
  public var announcedLabels: [String]

  public init(
    revision: Int, deviceId: String, hostName: String?, platform: String, executionType: String?,
    services: [Orchestration.Service],
    labels: [String: String], load: Double?, place: Orchestration.Location?, announcedServices: [String],
    announcedLabels: [String]
  ) {
    self.revision = revision
    self.deviceId = deviceId
    self.hostName = hostName
    self.platform = platform
    self.executionType = executionType
    self.services = services
    self.labels = labels
    self.load = load
    self.place = place
    self.announcedServices = announcedServices
    self.announcedLabels = announcedLabels
  }
}
