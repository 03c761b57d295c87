internal import CommandLine
public import Control
internal import Wire

extension PeersReport.Peer {
  /// Everything known about the peer, one line per fact.
  public var details: String {
    var rows: [(String, String?)] = [
      ("device ID", deviceId), ("address", address), ("IPv6", address6), ("state", state.rawValue),
      ("path", path.map { path in remote.map { "\(path) \($0)" } ?? path }),
      ("round trip", roundTripMs.map(Table.milliseconds)), ("last proof", proofAge.map { "\(Table.time($0)) ago" }),
      ("from", outerAddress), ("connected", connected.map(Table.time)),
      ("to the relay", relayRoundTripMs.map(Table.milliseconds)),
    ]
    guard let revision else {
      rows.append(("tells", "nothing that is known here"))
      return Self.text(rows)
    }
    rows += [
      ("host name", hostName), ("platform", platform), ("type", executionType),
      ("load", load.map { PeerList.text($0) }), ("outer", place?.outer), ("local", place?.local),
      ("routers", place.flatMap { $0.hops.isEmpty ? nil : $0.hops.joined(separator: ", ") }),
      ("revision", "\(revision)"),
    ]
    for (index, service) in (services ?? []).enumerated() {
      rows.append((index == 0 ? "services" : "", Self.text(service)))
    }
    for (index, label) in (labels ?? [:]).sorted(by: { $0.key < $1.key }).enumerated() {
      rows.append((index == 0 ? "labels" : "", "\(label.key)=\(label.value)"))
    }
    return Self.text(rows)
  }

  private static func text(_ service: Orchestration.Service) -> String {
    var words = [service.name]
    if let version = service.version { words.append(version) }
    if service.port != nil || service.protocol != nil {
      words.append([service.protocol, service.port.map { "port \($0)" }].compactMap { $0 }.joined(separator: " "))
    }
    words.append(service.health.rawValue)
    return words.joined(separator: ", ")
  }

  private static func text(_ rows: [(String, String?)]) -> String {
    let known = rows.compactMap { name, value in value.map { [name.harmless, $0.harmless] } }
    return Columns().lines(known).joined(separator: "\n")
  }
}
