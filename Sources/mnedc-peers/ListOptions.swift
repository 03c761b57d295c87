import ArgumentParser
import CommandLine
import Control
import Listing
import SystemIO

/// Options of the list, for the program without a command and for `list`.
struct ListOptions: ParsableArguments {
  @OptionGroup var filters: FilterOptions

  @Option(
    help: ArgumentHelp(
      "By address, id, rtt, load, proof (default: address).", valueName: "order"),
    completion: .list(PeerOrder.allCases.map(\.rawValue)),
    transform: {
      guard let order = PeerOrder(rawValue: $0) else {
        throw ValidationError("sort by \(PeerOrder.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return order
    })
  var sort = PeerOrder.address

  @Option(
    help: ArgumentHelp("List at most this many (default: all of them).", valueName: "number"),
    transform: {
      guard let number = Int($0), number > 0 else { throw ValidationError("a limit is a whole number from 1 on") }
      return number
    })
  var limit: Int?

  @Flag(help: "Show more columns, and do not cut lines.")
  var wide = false

  @Flag(name: .customLong("no-header"), help: "Print no column names and no remarks.")
  var noHeader = false

  @Flag(help: "Show behind which NAT each device is.")
  var tree = false

  @Flag(help: "First ask peers for what is not known of them.")
  var fetch = false

  @Flag(help: "Keep showing changes until interrupted.")
  var watch = false

  @OptionGroup var output: JSONOptions

  @OptionGroup var control: ControlOptions

  var json: Bool { output.json }

  func validate() throws {
    if tree, json || wide || noHeader { throw ValidationError("--tree goes without --json, --wide and --no-header") }
  }

  var list: PeerList {
    var list = PeerList()
    list.filter = filters.filter
    (list.order, list.limit, list.isWide, list.hasHeader) = (sort, limit, wide, !noHeader)
    list.hasColour = Terminal.takesColour()
    return list
  }

  func run() throws {
    let (report, path) = try ask()
    if watch { return try Watch(self, at: path).run(first: report) }
    if json { return try printOut(JSON.pretty(list.applied(to: report))) }
    let shown = text(report, withRemarks: true)
    if !shown.isEmpty { try printOut(shown) }
    if !noHeader, let why = list.emptiness(of: report) { printError(why) }
  }

  /// For subcommands about one device, because the parser takes these options from the whole line.
  func checkThatNoneIsGiven() throws {
    let given: [(name: String, isGiven: Bool)] = [
      ("service", !filters.service.isEmpty), ("platform", !filters.platform.isEmpty), ("label", !filters.label.isEmpty),
      ("state", !filters.state.isEmpty), ("sort", sort != .address), ("limit", limit != nil), ("wide", wide),
      ("no-header", noHeader), ("tree", tree), ("fetch", fetch), ("watch", watch),
    ]
    guard let first = given.first(where: \.isGiven) else { return }
    throw ValidationError("Unknown option '--\(first.name)'")
  }

  private func ask() throws -> (report: PeersReport, path: String) {
    guard fetch else { return try control.askAndLocate(.peers) }
    let time = Int(control.timeout.nanoseconds / 1_000_000)
    return try control.waitingLonger(by: control.timeout).askAndLocate(.fetch(milliseconds: time))
  }

  /// The list as text.
  func text(_ report: PeersReport, withRemarks: Bool) -> String {
    let width = Terminal.width()
    let text =
      tree
      ? PeerTree(
        list.peers(of: report), of: list.filter.isEmpty ? report.`self` : nil, relay: report.relayAddress
      ).text(width: width)
      : list.text(report, width: width)
    guard withRemarks, !noHeader, let note = list.footnote(report) else { return text }
    return text.isEmpty ? note : "\(text)\n\(note)"
  }
}
