import ArgumentParser
import CommandLine

/// `lease pin` and `lease free`.
struct Lease: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Pins the address of a device, or frees it.",
    subcommands: [PinLease.self, FreeLease.self])

  func run() throws {
    throw Failure(.usage, "say what to do with the lease: pin or free; see mnedc-ctl lease --help")
  }
}
