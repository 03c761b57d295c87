import ArgumentParser
import Control
import Listing
import Program
import SystemIO

struct Show: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows all that is known of one device.",
    discussion: "Asks it first if what it offers is not known here, for as long as --timeout. Any user may.")

  @Argument(help: "Its device ID, that as a host name, or its address.", completion: .peers)
  var peer: String

  @OptionGroup var output: JSONOptions

  @OptionGroup var control: ControlOptions
  @ParentCommand var program: MnedcPeers

  func validate() throws {
    try program.list.checkThatNoneIsGiven()
    try ControlOptions.check(peer: peer)
  }

  func run() throws {
    let time = Int(control.timeout.nanoseconds / 1_000_000)
    let report: PeersReport = try control.waitingLonger(by: control.timeout).ask(.show(peer: peer, milliseconds: time))
    try printOut(output.json ? JSON.pretty(report) : report.peers.map(\.details).joined(separator: "\n\n"))
    if !output.json, let why = report.disconnected {
      printError("this host has no connection to the relay, so how the device is now is unknown: \(why.harmless)")
    }
  }
}
