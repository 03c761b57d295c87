internal import Link
internal import SystemIO
internal import SystemPackage
internal import Tun

/// The two ends of the connection, and how its packets leave this host, as last looked up.
struct UplinkPath {
  let local: SocketAddress
  let peer: SocketAddress
  var network: NetworkPath
}

extension Uplink {
  /// The host's network has changed. Unless that concerns the path to the relay, nothing is sent.
  func networkChanged(_ change: NetworkChange) {
    switch phase {
    case .ended:
      break
    case .idle(let atRelaysWish):
      // Whatever has changed may have been what was missing.
      if !atRelaysWish, attemptsAtOnce.allow(at: .now()) { connectNow() }
    case .dialing(let dialer):
      guard let ends = dialer.ends, let network = pathFinder?.path(to: ends.peer),
        network.source != ends.local.bytes || change.mayHaveRestored(network.interface),
        attemptsAtOnce.allow(at: .now())
      else { return }
      connectNow()
    case .greeting, .joining, .pending:
      if isPathChanged(by: change) {
        lose(.broken("this host's network has changed, and its path to the relay with it"), soon: true)
      }
    case .joined(let connection, _):
      guard isPathChanged(by: change), let path else { return }
      if HostAddresses.include(path.local) {
        probe(connection)
      } else {
        lose(.broken("\(path.local.host) is no address of this host any more"), soon: true)
      }
    }
  }

  func findPath(local: SocketAddress?, peer: SocketAddress?) -> UplinkPath? {
    guard let local, let peer, let network = pathFinder?.path(to: peer) else { return nil }
    return UplinkPath(local: local, peer: peer, network: network)
  }

  /// Whether packets to the relay take another path than before, or may have been lost until now. While there is no
  /// path, the former one may come back; if not, the keepalive notices.
  private func isPathChanged(by change: NetworkChange) -> Bool {
    guard let former = path, let network = pathFinder?.path(to: former.peer) else { return false }
    path?.network = network
    return network != former.network || change.mayHaveRestored(network.interface)
  }
}
