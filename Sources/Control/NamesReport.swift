/// How the names of the network's devices resolve on this host.
public struct NamesReport: Codable, Sendable, Equatable {
  public enum Means: String, Codable, Sendable {
    /// It asks the device's own server.
    case systemdResolved = "systemd-resolved"
    case hostsFile = "hosts-file"
    /// The device answers, and nothing on this host was told to ask it.
    case server
    case off
  }

  /// What the names end with.
  public var domain: String
  public var by: Means
  /// The file that has the names, if one has.
  public var hostsFile: String?
  /// Whether the device's own name has its address for programs of this host; `nil`: that was not looked up yet.
  public var resolves: Bool?
  /// Why the names do not resolve, or not as they usually would, for people.
  public var note: String?

  public init(domain: String, by: Means, hostsFile: String? = nil, resolves: Bool? = nil, note: String? = nil) {
    self.domain = domain
    self.by = by
    self.hostsFile = hostsFile
    self.resolves = resolves
    self.note = note
  }
}
