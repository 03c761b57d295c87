// Subscribers of a relay get the changes once a second, from a comparison. The relay's loops share no presence list
// that could be watched without slowing joins down, and the comparison costs nothing while nobody subscribes.

import Control
import DaemonKit
import SystemIO

/// Publishes the changes of a relay's devices while there are subscribers, by comparing the state every second. Owned
/// by the main thread.
final class PeerChanges {
  // Set once.
  private let daemon: Daemon
  private let look: (@escaping (PeersReport) -> Void) -> Void

  /// The state that subscribers know, by address; `nil` while there are none.
  private var known: [String: PeersReport.Peer]?
  private var isScheduled = false
  private var isHurrying = false

  private static let interval = Duration.seconds(1)
  private static let hurry = Duration.milliseconds(100)

  /// `look` gives the present state, on the main thread.
  init(_ daemon: Daemon, look: @escaping (@escaping (PeersReport) -> Void) -> Void) {
    self.daemon = daemon
    self.look = look
  }

  /// Gives the snapshot for a new subscriber, after the others have the same state.
  func begin(_ reply: @escaping (PeersReport) -> Void) {
    look { [self] report in
      compare(report)
      reply(report)
      schedule()
    }
  }

  /// Compares soon, after an event of the relay's own device.
  func notice() {
    guard daemon.hasSubscribers, !isHurrying else { return }
    isHurrying = true
    daemon.events.schedule(after: Self.hurry) { [self] in
      isHurrying = false
      if daemon.hasSubscribers { look { [self] in compare($0) } }
    }
  }

  private func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    daemon.events.schedule(after: Self.interval) { [self] in
      isScheduled = false
      guard daemon.hasSubscribers else {
        known = nil
        return
      }
      look { [self] report in
        compare(report)
        schedule()
      }
    }
  }

  private func compare(_ report: PeersReport) {
    let now = Int(UnixTime.now())
    let new = Dictionary(report.peers.map { ($0.address, $0) }) { first, _ in first }
    defer { known = new }
    guard let old = known else { return }
    for (address, peer) in old where new[address]?.deviceId != peer.deviceId {
      var peer = peer
      (peer.state, peer.path) = (.unknown, nil)
      daemon.publish(PeerEventReport(.left, time: now, peer: peer))
    }
    for peer in report.peers {
      if old[peer.address]?.deviceId != peer.deviceId {
        daemon.publish(PeerEventReport(.joined, time: now, peer: peer))
      } else if let revision = peer.revision, old[peer.address]?.revision != revision {
        daemon.publish(PeerEventReport(.changed, time: now, peer: peer))
      }
    }
  }
}
