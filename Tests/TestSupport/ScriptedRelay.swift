public import Device
internal import Noise
internal import Synchronization
internal import SystemIO
internal import SystemPackage
public import Wire

/// A relay within the process that says exactly what a test wants it to.
public final class ScriptedRelay: Sendable {
  private let key = PrivateKey()
  private let connections = Mailbox<Connection>()
  private let taken = Mutex(0)

  // `@unchecked`: made on a device's thread, which gives it away at once, and then used by the test alone.
  private struct Connection: @unchecked Sendable {
    let client: RawFrameClient
  }

  public init() {}

  /// The way for a device to take.
  public var route: RelayRoute {
    .local { [connections] () throws(Errno) in
      try SocketPair().split { connections.put(Connection(client: RawFrameClient($0))) }
    }
  }

  /// The next connection that a device makes, after the handshake: it waits to be let in.
  public func accept(network: NetworkNotice? = nil) throws -> (client: RawFrameClient, request: JoinRequest) {
    let number = taken.withLock { number in
      number += 1
      return number
    }
    let made = connections.waitFor(number)
    guard made.count >= number else { throw RawFrameClient.Failure.timeout }
    let client = made[number - 1].client
    return (client, try client.accept(key: key, network: network))
  }

  /// The same, and lets it in.
  public func welcome(_ welcome: Welcome) throws -> RawFrameClient {
    let (client, _) = try accept()
    try client.send(.welcome(welcome))
    return client
  }
}
