internal import Link
internal import SystemIO
internal import SystemPackage
internal import Tun

/// The two ends of a connection, and the way that its packets left this host by when that was looked up last.
struct Way {
  let local: SocketAddress
  let peer: SocketAddress
  var path: NetworkPath
}

extension Uplink {
  /// The host's network has changed. Unless that concerns the way to the relay, nothing is sent.
  func networkChanged(_ change: NetworkChange) {
    switch phase {
    case .ended:
      break
    case .idle(let atRelaysWish):
      // Whatever has changed may have been what was missing.
      if !atRelaysWish, hasteLimit.allow(at: .now()) { connectNow() }
    case .dialing(let dialer):
      guard let ends = dialer.ends, let path = pathFinder?.path(to: ends.peer),
        path.source != ends.local.bytes || change.mayHaveRestored(path.interface), hasteLimit.allow(at: .now())
      else { return }
      connectNow()
    case .greeting, .joining, .pending:
      if isWayChanged(by: change) {
        lose(.broken("this host's network has changed, and its path to the relay with it"), soon: true)
      }
    case .joined(let connection, _):
      guard isWayChanged(by: change), let way else { return }
      if HostAddresses.include(way.local) {
        probe(connection)
      } else {
        lose(.broken("\(way.local.host) is no address of this host any more"), soon: true)
      }
    }
  }

  func findWay(local: SocketAddress?, peer: SocketAddress?) -> Way? {
    guard let local, let peer, let path = pathFinder?.path(to: peer) else { return nil }
    return Way(local: local, peer: peer, path: path)
  }

  /// Whether packets to the relay go another way than before, or may have been lost until now. While they go nowhere, the
  /// way may come back as it was, and the echo tells if it does not.
  private func isWayChanged(by change: NetworkChange) -> Bool {
    guard let way, let path = pathFinder?.path(to: way.peer) else { return false }
    self.way?.path = path
    return path != way.path || change.mayHaveRestored(path.interface)
  }
}
