/// How the names of the network's devices resolve on this host.
public struct NamesReport: Codable, Sendable, Equatable {
  public enum Means: String, Codable, Sendable {
    /// systemd-resolved asks the device's own name server.
    case systemdResolved = "systemd-resolved"
    case hostsFile = "hosts-file"
    /// The device's name server answers, but this host's resolver does not ask it.
    case server
    case off
  }

  /// The domain of the names.
  public var domain: String
  public var by: Means
  /// The file with the names, if they are in one.
  public var hostsFile: String?
  /// Whether programs of this host resolve the device's own name to its address; `nil` before the first lookup.
  public var resolves: Bool?
  /// Why the names do not resolve, or not in the usual way, for people.
  public var note: String?

  public init(domain: String, by: Means, hostsFile: String? = nil, resolves: Bool? = nil, note: String? = nil) {
    self.domain = domain
    self.by = by
    self.hostsFile = hostsFile
    self.resolves = resolves
    self.note = note
  }
}
