public import Control
public import Device
internal import SystemIO
internal import Wire

/// Makes reports of the device's events about peers. Owned by the main thread.
public final class PeerEventReporter {
  // Set once.
  private let onEvent: (PeerEventReport) -> Void

  private var network: Network = .unknown
  /// Events that came before the network was known.
  private var waiting: [PeerEvent] = []

  /// Gives the peers' IPv6 addresses.
  private enum Network {
    case unknown, asked
    case known(IPv6Prefix?)
  }

  /// `onEvent` gets each report in order, soon after the event.
  public init(onEvent: @escaping (PeerEventReport) -> Void) {
    self.onEvent = onEvent
  }

  /// The device has joined, perhaps another network than before.
  public func networkMayHaveChanged() {
    network = .unknown
  }

  /// Takes events of the device; `status` gives the device's state on the main thread.
  public func take(_ events: [PeerEvent], status: (@escaping (DeviceStatus) -> Void) -> Void) {
    waiting += events
    switch network {
    case .known(let pool6): tell(in: pool6)
    case .asked: break
    case .unknown:
      network = .asked
      status { [weak self] status in
        guard let self else { return }
        if case .asked = network { network = .known(status.pool6) }
        tell(in: status.pool6)
      }
    }
  }

  private func tell(in pool6: IPv6Prefix?) {
    let now = Int(UnixTime.now())
    for event in waiting {
      switch event {
      case .joined(let peer):
        onEvent(PeerEventReport(.joined, time: now, peer: Self.peer(peer, in: pool6, .online)))
      case .left(let peer):
        onEvent(PeerEventReport(.left, time: now, peer: Self.peer(peer, in: pool6, .unknown)))
      case .changed(let peer, let information):
        var report = Self.peer(peer, in: pool6, .online)
        report.add(information)
        onEvent(PeerEventReport(.changed, time: now, peer: report))
      }
    }
    waiting = []
  }

  private static func peer(_ peer: Peer, in pool6: IPv6Prefix?, _ state: PeersReport.State) -> PeersReport.Peer {
    PeersReport.Peer(at: peer.address, peer.deviceID, in: pool6, state: state)
  }
}
