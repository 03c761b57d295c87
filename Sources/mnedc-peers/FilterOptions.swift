import ArgumentParser
import CommandLine
import Control
import Listing

/// Selects the peers that are listed.
struct FilterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Only with this service up; repeatable (no default).",
      valueName: "name[:version]"),
    completion: .services,
    transform: {
      guard let query = ServiceQuery($0) else { throw ValidationError("a service is a name, or name:version") }
      return query
    })
  var service: [ServiceQuery] = []

  @Option(
    help: ArgumentHelp(
      "Only on this platform; repeatable (no default).",
      valueName: "platform"),
    completion: .platforms)
  var platform: [String] = []

  @Option(
    help: ArgumentHelp(
      "Only with this label; repeatable (no default).",
      valueName: "name[=value]"),
    completion: .labels,
    transform: {
      guard let query = LabelQuery($0) else { throw ValidationError("a label is a name, or name=value") }
      return query
    })
  var label: [LabelQuery] = []

  @Option(
    help: ArgumentHelp(
      "Only in this state: online, silent, untrusted, unknown; repeatable (no default).",
      valueName: "state"),
    completion: .list(PeersReport.State.allCases.map(\.rawValue)),
    transform: {
      guard let state = PeersReport.State(rawValue: $0) else {
        throw ValidationError("a state is \(PeersReport.State.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return state
    })
  var state: [PeersReport.State] = []

  var filter: PeerFilter {
    var filter = PeerFilter()
    (filter.services, filter.platforms, filter.labels, filter.states) = (service, platform, label, state)
    return filter
  }
}
