// Lets devices join a relay and says which address each was told, as soon as it is. Ends when all have joined, or with
// the relay.
//
//     lease-client ADDRESS PORT FIRST COUNT        prints lines such as: device-7 10.0.0.9

import SystemIO
import TestSupport
import Wire

@main
enum LeaseClient {
  private static let threads = 8

  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let numbers = arguments.dropFirst().compactMap { Int($0) }
    guard arguments.count == 4, numbers.count == 3, let port = UInt16(exactly: numbers[0]),
      let relay = SocketAddress(numeric: arguments[0], port: port)
    else {
      printError("usage: lease-client ADDRESS PORT FIRST COUNT")
      endProcess(64)
    }
    raiseDescriptorLimit()
    let (first, count) = (numbers[1], numbers[2])
    let crowd = (0..<threads).map { thread in
      SystemThread.start(name: "devices") {
        var clients: [RawFrameClient] = []
        for number in stride(from: first + thread, to: first + count, by: threads) {
          guard let client = join(relay, "device-\(number)") else { return }
          clients.append(client)
        }
      }
    }
    for thread in crowd { thread.join() }
  }

  /// `nil` once the relay is gone.
  private static func join(_ relay: SocketAddress, _ deviceID: String) -> RawFrameClient? {
    while true {
      do {
        let client = try RawFrameClient(connectingTo: relay)
        try client.join(
          JoinRequest(deviceID: deviceID, instance: "1", ciphers: CipherList([.chaCha20Poly1305])),
          key: testKey(deviceID))
        switch try client.receive().message() {
        case .welcome(let welcome): try writeOut("\(deviceID) \(welcome.address)")
        case .refused(let refusal): throw refusal
        default: throw RawFrameClient.Failure.closed
        }
        return client
      } catch let refusal as Refusal where refusal.code == .busy {
        // So many come from one address.
        sleep(for: .milliseconds(100))
      } catch let refusal as Refusal {
        printError("\(deviceID) is refused: \(refusal.text)")
        endProcess(1)
      } catch {
        return nil
      }
    }
  }
}
