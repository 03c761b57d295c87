// Lets many devices join a relay at once, and says how long it took until the last was in. For benchmarks.
//
//     join-storm ADDRESS PORT COUNT             prints seconds
//     join-storm ADDRESS PORT COUNT --return    waits on until the relay has gone and all are back, and prints when,
//                                               in seconds on CLOCK_BOOTTIME

import SystemIO
import TestSupport

@main
enum JoinStorm {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard (3...4).contains(arguments.count), arguments.count == 3 || arguments[3] == "--return",
      let port = UInt16(arguments[1]), let count = Int(arguments[2]),
      let relay = SocketAddress(numeric: arguments[0], port: port)
    else {
      printError("usage: join-storm ADDRESS PORT COUNT [--return]")
      endProcess(64)
    }
    raiseDescriptorLimit()
    let start = Instant.now()
    let crowd = try Crowd(of: count, relay: relay)
    defer { crowd.stop() }
    guard crowd.isIn(count) else { fail("not all devices were let in") }
    try writeOut("\(Instant.now().since(start).seconds)")
    if arguments.count == 3 { return }
    guard crowd.isIn(0) else { fail("the relay did not go") }
    try writeOut("gone")
    guard crowd.isIn(count) else { fail("not all devices came back") }
    try writeOut("\(Instant.now().since(Instant(nanoseconds: 0)).seconds)")
  }

  private static func fail(_ what: String) -> Never {
    printError("join-storm: \(what)")
    endProcess(1)
  }
}
