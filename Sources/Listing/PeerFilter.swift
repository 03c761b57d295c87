public import Control
internal import Wire

/// Selects the peers that meet all conditions. Information that a peer has not sent meets no condition.
public struct PeerFilter: Sendable {
  public var services: [ServiceQuery] = []
  /// Operating systems with or without a processor, such as `linux/arm64` or `linux`. A peer needs one of them.
  public var platforms: [String] = []
  public var labels: [LabelQuery] = []
  /// A peer needs one of them.
  public var states: [PeersReport.State] = []

  public init() {}

  /// Whether it selects all peers.
  public var isEmpty: Bool { services.isEmpty && platforms.isEmpty && labels.isEmpty && states.isEmpty }

  /// Whether it depends on the peers' own information.
  public var needsInformation: Bool { !(services.isEmpty && platforms.isEmpty && labels.isEmpty) }

  public func passes(_ peer: PeersReport.Peer) -> Bool {
    services.allSatisfy { $0.isOffered(by: peer) } && labels.allSatisfy { $0.isTrue(of: peer) }
      && (platforms.isEmpty || platforms.contains { isPlatform($0, of: peer) })
      && (states.isEmpty || states.contains(peer.state))
  }

  private func isPlatform(_ wanted: String, of peer: PeersReport.Peer) -> Bool {
    guard let platform = peer.platform else { return false }
    return platform == wanted || !wanted.contains("/") && platform.hasPrefix(wanted + "/")
  }
}

/// `detector`, or `detector:1.2` for version 1.2 and versions that begin with `1.2.`.
public struct ServiceQuery: Sendable, Equatable {
  public var name: String
  public var version: String?

  /// `nil` if the text is malformed.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.allSatisfy({ !$0.isEmpty }) else { return nil }
    name = String(parts[0])
    version = parts.count == 2 ? String(parts[1]) : nil
  }

  /// Only a service that is up matches.
  func isOffered(by peer: PeersReport.Peer) -> Bool {
    (peer.services ?? []).contains { service in
      guard service.name == name, service.health == .up else { return false }
      guard let version else { return true }
      return service.version == version || service.version?.hasPrefix(version + ".") == true
    }
  }
}

/// `zone=hall`, or `zone` for any value.
public struct LabelQuery: Sendable, Equatable {
  public var name: String
  public var value: String?

  /// `nil` if the text is malformed.
  public init?(_ text: String) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard !parts[0].isEmpty else { return nil }
    name = String(parts[0])
    value = parts.count == 2 ? String(parts[1]) : nil
  }

  func isTrue(of peer: PeersReport.Peer) -> Bool {
    guard let found = peer.labels?[name] else { return false }
    return value == nil || value == found
  }
}
