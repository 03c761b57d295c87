import ArgumentParser
import Control
import Listing
import Program

/// Which peers are listed.
struct FilterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Those where this service is up, in this version if one is given; repeatable (default: whatever they offer).",
      valueName: "name[:version]"),
    completion: .services,
    transform: {
      guard let query = ServiceQuery($0) else { throw ValidationError("a service is a name, or name:version") }
      return query
    })
  var service: [ServiceQuery] = []

  @Option(
    help: ArgumentHelp(
      "Those with this platform, such as linux/arm64 or linux; repeatable for one of several (default: any of them).",
      valueName: "platform"),
    completion: .platforms)
  var platform: [String] = []

  @Option(
    help: ArgumentHelp(
      "Those with this label, whatever its value if none is given; repeatable (default: any or none).",
      valueName: "name[=value]"),
    completion: .labels,
    transform: {
      guard let query = LabelQuery($0) else { throw ValidationError("a label is a name, or name=value") }
      return query
    })
  var label: [LabelQuery] = []

  @Option(
    help: ArgumentHelp(
      "Those in this state: online, silent, untrusted, unknown; repeatable for one of several (default: all of them).",
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
