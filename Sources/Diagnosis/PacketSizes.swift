internal import SystemIO
internal import Wire

/// Whether large packets get through to a relay and back, found by handshakes that fill packets and go no further.
public enum PacketSizes: Sendable, Equatable {
  /// Packets of so many bytes do; from the relay as well, unless it is too old to send them.
  case passed(Int, bothWays: Bool)
  /// Packets of so many bytes do not, while small ones do; those of `smaller` bytes do, if any that were tried.
  case lost(Int, smaller: Int?)

  /// How long an answer may take: several retransmissions.
  private static let patience = Duration.seconds(2)
  /// TCP segments that are tried in place of the largest ones, in bytes.
  private static let smaller = [1400, 1200, 536]

  /// Blocks until it is known or `deadline`. `nil`: it is not known, since the relay takes no connections or there is
  /// no time.
  static func find(at relay: SocketAddress, until deadline: Instant) -> PacketSizes? {
    guard let first = attempt(relay, segment: nil, until: deadline) else { return nil }
    if let bothWays = first.bothWays { return .passed(first.size, bothWays: bothWays) }
    for segment in smaller where segment < first.segment {
      guard let next = attempt(relay, segment: segment, until: deadline) else { break }
      if next.bothWays != nil { return .lost(first.size, smaller: next.size) }
    }
    return .lost(first.size, smaller: nil)
  }

  /// One handshake with packets as large as they come; `bothWays` is `nil` if it has no answer.
  private static func attempt(
    _ relay: SocketAddress, segment: Int?, until deadline: Instant
  ) -> (size: Int, segment: Int, bothWays: Bool?)? {
    let until = Instant.now().advanced(by: min(patience, deadline.since(.now()) / 2))
    guard let contact = try? RelayContact(connectingTo: relay, maximumSegment: segment, until: until),
      let path = contact.path
    else { return nil }
    let padding = min(path.segment * 2, HandshakeHello.maximumPadding)
    // Headers of IP and TCP, with TCP's time stamps.
    let size = min(path.segment, padding) + (relay.isIPv6 ? 72 : 52)
    do throws(RelayContact.MeetFailure) {
      let proof = try contact.meet(expecting: 0, padding: padding, until: until)
      return (size, path.segment, proof.padding >= padding)
    } catch {
      return error == .timeout ? (size, path.segment, nil) : nil
    }
  }

  /// For people.
  var finding: String {
    switch self {
    case .passed(let size, bothWays: true): "packets of \(size) bytes get through both ways"
    case .passed(let size, bothWays: false):
      "packets of \(size) bytes get through to the relay, which is too old to send such to try the other way"
    case .lost(let size, let smaller):
      "small packets get through, but packets of \(size) bytes do not"
        + (smaller.map { "; those of \($0) bytes do" } ?? "")
    }
  }

  /// What to do where large packets are lost.
  static let advice =
    "a link on the path has a smaller MTU than this host's, and a firewall drops the ICMP messages that say so (\"fragmentation "
    + "needed\", \"packet too big\"): let those through, or lower the MTU of this host's link; until then mnedc-join connects "
    + "anew with smaller packets when data is stuck"
}
