internal import CLinux

/// What the kernel knows of the way that a TCP connection takes.
public struct TCPPath: Sendable, Equatable {
  /// The largest segment that it sends, in bytes without headers: no more than the other end takes and the path, as far as known.
  public let segment: Int
  /// The largest packet of the path in bytes, as far as the kernel knows: the interface's, until a router says less.
  public let mtu: Int
  /// The smoothed round trip; of a connection that is new, that of its first packets.
  public let roundTrip: Duration

  public init(segment: Int, mtu: Int, roundTrip: Duration) {
    self.segment = segment
    self.mtu = mtu
    self.roundTrip = roundTrip
  }
}

extension Descriptor {
  /// Of a connection that is established (TCP_INFO); `nil` if this is no TCP connection.
  public borrowing func tcpPath() -> TCPPath? {
    var (segment, mtu, microseconds) = (UInt32(0), UInt32(0), UInt32(0))
    guard clinux_tcp_path(raw, &segment, &mtu, &microseconds) == 0 else { return nil }
    return TCPPath(segment: Int(segment), mtu: Int(mtu), roundTrip: .microseconds(Int64(microseconds)))
  }
}
