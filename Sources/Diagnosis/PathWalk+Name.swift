public import Control
internal import SystemIO
internal import Wire

extension PathFacts {
  /// What programs of this host find under the peer's name.
  public struct Naming: Sendable {
    public var name: String
    /// How names are to resolve here, and why they do not, if that is known.
    public var names: NamesReport
    /// The numeric addresses that a look-up gave, or why it gave none; `nil`: there was none.
    public var found: Result<[String], Reason>?

    public struct Reason: Error, Equatable, Sendable {
      public let text: String

      public init(_ text: String) { self.text = text }
    }

    public init(name: String, names: NamesReport, found: Result<[String], Reason>? = nil) {
      self.name = name
      self.names = names
      self.found = found
    }
  }
}

extension PathFacts.Naming {
  /// Whether programs of this host are meant to find names.
  var isExpected: Bool { names.by == .systemdResolved || names.by == .hostsFile }

  /// Looks the name up, which may take until `deadline`.
  mutating func lookUp(until deadline: Instant) {
    guard isExpected else { return }
    let answer = try? Resolver.resolve(name, port: 0, until: deadline)
    found =
      (answer ?? nil)?.map { $0.map(\.host) }.mapError { Reason("\($0)") } ?? .failure(Reason("no answer in time"))
  }
}

extension PathWalk {
  /// The last step: programs mostly know the peer by its name.
  static func name(_ facts: PathFacts) -> CheckReport {
    func step(_ result: CheckReport.Result, _ finding: String, _ advice: String? = nil) -> CheckReport {
      CheckReport("name", result, finding, advice: advice)
    }
    guard case .known(let peer, _) = facts.peer, let naming = facts.naming else {
      return step(.skipped, "not looked up")
    }
    guard let found = naming.found else {
      let note = naming.names.note.map { " (\($0))" } ?? ""
      return step(
        .skipped,
        naming.names.by == .off
          ? "names are off (join.names)" : "programs of this host are not told of names\(note); use \(peer.address)")
    }
    let own = Set([peer.address, peer.address6].compactMap { $0 })
    let advice =
      "use the address \(peer.address); mnedc-ctl status tells how names resolve here, mnedc-ctl reload arranges it anew"
    switch found {
    case .success(let addresses) where !own.isDisjoint(with: addresses):
      return step(.ok, "programs of this host find \(peer.deviceId) as \(naming.name)")
    case .success(let addresses):
      return step(
        .warn, "\(naming.name) is \(addresses.joined(separator: ", ")) for programs of this host, not \(peer.address)",
        advice)
    case .failure(let reason):
      return step(.warn, "programs of this host do not find \(naming.name): \(reason.text)", advice)
    }
  }
}
