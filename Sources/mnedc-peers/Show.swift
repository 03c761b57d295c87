import ArgumentParser
import CommandLine
import Control
import Listing
import SystemIO

struct Show: ParsableCommand {
  static let configuration = CommandConfiguration(
    for: "show", "First asks the device, for up to --timeout, if it has not told what it offers.")

  @Argument(help: "The device's ID, host name, virtual address or fingerprint's start.", completion: .peers)
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
      printError("this host has no connection to the relay, so the device's present state is unknown: \(why.harmless)")
    }
  }
}
