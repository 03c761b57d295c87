public import Control

/// What a list of peers is sorted by, in rising order. Peers without a known value come last. Equal ones are sorted by
/// address.
public enum PeerOrder: String, CaseIterable, Sendable {
  case address, id, rtt, load, proof

  public func sorted(_ peers: [PeersReport.Peer]) -> [PeersReport.Peer] {
    let byAddress = peers.map { (peer: $0, address: Self.number($0.address)) }.sorted { $0.address < $1.address }
    let rest = byAddress.map(\.peer)
    switch self {
    case .address: return rest
    case .id: return Self.sorted(rest) { $0.deviceId }
    case .rtt: return Self.sorted(rest) { $0.roundTripMs ?? $0.relayRoundTripMs }
    case .load: return Self.sorted(rest, by: \.load)
    case .proof: return Self.sorted(rest, by: \.proofAge)
    }
  }

  private static func sorted<Key: Comparable>(
    _ peers: [PeersReport.Peer], by key: (PeersReport.Peer) -> Key?
  ) -> [PeersReport.Peer] {
    let keyed = peers.enumerated().map { (index: $0.offset, key: key($0.element), peer: $0.element) }
    return keyed.sorted { left, right in
      switch (left.key, right.key) {
      case (let first?, let second?) where first != second: first < second
      case (.some, nil): true
      case (nil, .some): false
      default: left.index < right.index
      }
    }.map(\.peer)
  }

  private static func number(_ address: String) -> UInt32 {
    address.split(separator: ".").reduce(0) { $0 << 8 | (UInt32($1) ?? 0) & 0xFF }
  }
}
