// Lets devices join a relay and leave again, a few at a time, in every way in which devices come and go. For tests.
//
//     join-churn ADDRESS PORT FIRST COUNT      COUNT of them, from number FIRST on
//
// Nine of ten have one of 200 device IDs; the others are new ones. What is counted is what the relay is left with.

import Glibc
import SystemIO
import TestSupport
import Wire

@main
enum JoinChurn {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    let numbers = arguments.dropFirst().compactMap { Int($0) }
    guard arguments.count == 4, numbers.count == 3, let address = arguments.first,
      let port = UInt16(exactly: numbers[0]), let relay = SocketAddress(numeric: address, port: port)
    else {
      printError("usage: join-churn ADDRESS PORT FIRST COUNT")
      endProcess(64)
    }
    ignoreBrokenPipes()
    let end = numbers[1] + numbers[2]
    for first in stride(from: numbers[1], to: end, by: atOnce) {
      // All of them are there at the same time, so that the relay has something to do for each at once.
      let visits = try (first..<min(first + atOnce, end)).map { try Visit($0, relay) }
      for visit in visits { try visit.stay() }
      for visit in visits { try visit.end() }
    }
  }

  private static let atOnce = 20
}

/// One device's coming and going.
private struct Visit {
  private enum Way: Int, CaseIterable {
    /// Says goodbye.
    case leave
    /// Just closes the connection.
    case close
    /// Breaks it.
    case reset
    /// Is not let in.
    case refused
    /// Ends in the middle of the handshake.
    case halfway
    /// Sends what is no frame once it is in.
    case nonsense
  }

  private let way: Way
  private let client: RawFrameClient

  init(_ number: Int, _ relay: SocketAddress) throws {
    guard let way = Way(rawValue: number % Way.allCases.count) else { preconditionFailure("every remainder is a way") }
    self.way = way
    let descriptor = try loopbackConnection(to: relay, client: number)
    if way == .reset {
      var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
      setsockopt(descriptor.raw, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }
    client = RawFrameClient(descriptor)
    let deviceID = number % 10 == 9 ? "new-\(number)" : "churn-\(number % 200)"
    guard way != .halfway else {
      try client.send(frameBytes(.handshake, HandshakeHello(keyHint: 0).bytes))
      return
    }
    try client.join(
      JoinRequest(
        deviceID: way == .refused ? "not a device ID" : deviceID, instance: "1",
        ciphers: CipherList([.chaCha20Poly1305])),
      key: testKey(deviceID))
  }

  /// Waits for the relay's answer.
  func stay() throws {
    guard way != .halfway else { return }
    switch try client.receive().message() {
    case .welcome where way != .refused: return
    case .refused where way == .refused: return
    case let answer:
      printError("join-churn: the answer to a device that would \(way) was \(String(describing: answer))")
      endProcess(1)
    }
  }

  /// Goes; the connection is closed with the client.
  func end() throws {
    switch way {
    case .leave: try client.send(.leave)
    case .nonsense: try client.send([UInt8](repeating: 0xEE, count: 100))
    case .close, .reset, .refused, .halfway: break
    }
  }
}
