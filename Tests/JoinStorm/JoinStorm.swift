// Lets many devices join a relay at once, and says how long it took until the last was in. For benchmarks.
//
//     join-storm ADDRESS PORT COUNT        prints seconds

import SystemIO
import TestSupport
import Wire

@main
enum JoinStorm {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.count == 3, let address = arguments.first,
      let port = arguments.dropFirst().first.flatMap(UInt16.init),
      let count = arguments.last.flatMap(Int.init), let relay = SocketAddress(numeric: address, port: port)
    else {
      printError("usage: join-storm ADDRESS PORT COUNT")
      endProcess(64)
    }
    raiseDescriptorLimit()
    let requests = (0..<count).map { number in
      (
        key: testKey("storm-\(number)"),
        request: JoinRequest(
          deviceID: "storm-\(number)", instance: "1", ciphers: CipherList([.chaCha20Poly1305]))
      )
    }
    let start = Instant.now()
    let clients = try requests.map { entry in
      let client = try RawFrameClient(connectingTo: relay)
      try client.join(entry.request, key: entry.key)
      return client
    }
    for client in clients {
      guard case .welcome = try client.receive().message() else {
        printError("join-storm: a device was not let in")
        endProcess(1)
      }
    }
    print(Instant.now().since(start).seconds)
  }
}
