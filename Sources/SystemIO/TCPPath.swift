internal import CLinux

/// What the kernel knows of the path that a TCP connection takes.
public struct TCPPath: Sendable, Equatable {
  /// The largest segment that it sends, in bytes without headers: no more than the other end takes and the path, as far as known.
  public var segment: Int
  /// The largest packet of the path in bytes, as far as the kernel knows: the interface's, until a router says less.
  public var mtu: Int
  /// The smoothed round trip; of a connection that is new, that of its first packets.
  public var roundTrip: Duration
  /// How much the round trip varies.
  public var variation = Duration.zero
  /// How many bytes a second the other end takes, as the kernel last measured it, and whether it may be more because
  /// there was not always something to send.
  public var rate: UInt64 = 0
  public var mayBeFaster = false
  /// How often in a row the retransmission timer has expired for the oldest unacknowledged data.
  public var timeouts = 0
  /// How long ago the last acknowledgment arrived, even if it acknowledged nothing new.
  public var acknowledged = Duration.zero
  /// How many segments have arrived after a missing one.
  public var outOfOrder = 0

  public init(segment: Int, mtu: Int, roundTrip: Duration) {
    self.segment = segment
    self.mtu = mtu
    self.roundTrip = roundTrip
  }

  /// The round trip that almost no packet exceeds, computed as for a retransmission timer (RFC 6298).
  public var longRoundTrip: Duration { roundTrip + variation * 4 }
}

extension Descriptor {
  /// Of a connection that is established (TCP_INFO); `nil` if this is no TCP connection.
  public borrowing func tcpPath() -> TCPPath? {
    countCall(.tuning)
    var facts = clinux_tcp_facts()
    guard clinux_tcp_facts(raw, &facts) == 0 else { return nil }
    var path = TCPPath(
      segment: Int(facts.segment), mtu: Int(facts.path), roundTrip: .microseconds(Int64(facts.round_trip)))
    path.variation = .microseconds(Int64(facts.variation))
    path.rate = facts.delivery_rate
    path.mayBeFaster = facts.may_be_faster != 0
    path.timeouts = Int(facts.timeouts)
    path.acknowledged = .milliseconds(Int64(facts.acknowledged))
    path.outOfOrder = Int(facts.out_of_order)
    return path
  }
}
