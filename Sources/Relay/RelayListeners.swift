public import SystemIO
public import SystemPackage

/// The sockets that a relay listens on, taken before the relay itself begins: ports below 1024 are for root alone.
public final class RelayListeners: Sendable {
  let sockets: [Socket]

  /// A listening socket that can be let go of before its acceptor.
  final class Socket: Sendable {
    let listener: TCPListener

    init(_ listener: consuming TCPListener) {
      self.listener = listener
    }
  }

  /// An address that cannot be listened on.
  public struct ListenError: Error, Sendable {
    public let address: SocketAddress
    public let errno: Errno
  }

  /// The addresses that this host does not have yet. Devices can connect there once it has them.
  public var awaited: [SocketAddress] { sockets.filter { $0.listener.isAwaitingAddress }.map { $0.listener.address } }

  public init(on addresses: [SocketAddress]) throws(ListenError) {
    var sockets: [Socket] = []
    for address in addresses {
      do {
        sockets.append(Socket(try TCPListener(on: address, mayAwaitAddress: true)))
      } catch {
        throw ListenError(address: address, errno: error)
      }
    }
    self.sockets = sockets
  }
}
