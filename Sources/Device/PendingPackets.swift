internal import SystemIO

/// Packets, each with its offload header in front, that wait until there are keys to seal them with: the latest few, since
/// what waits for long is of no use. Owned by the device's thread.
struct PendingPackets {
  private var packets: [[UInt8]] = []
  private var bytes = 0

  private static let maximumPackets = 64
  private static let maximumBytes = 256 << 10

  var isEmpty: Bool { packets.isEmpty }

  /// Adds a packet; at the bound the oldest are dropped. Returns how many were.
  mutating func add(_ packet: UnsafeRawBufferPointer) -> Int {
    packets.append(Array(packet))
    bytes += packet.count
    var dropped = 0
    while packets.count - dropped > Self.maximumPackets || bytes > Self.maximumBytes {
      bytes -= packets[dropped].count
      dropped += 1
    }
    packets.removeFirst(dropped)
    return dropped
  }

  /// All of them, in order; none is left.
  mutating func takeAll() -> [[UInt8]] {
    defer {
      packets = []
      bytes = 0
    }
    return packets
  }
}
