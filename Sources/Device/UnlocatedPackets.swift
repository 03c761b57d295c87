// A packet for an unknown address waits until the relay has answered, because the device's list of peers may be behind,
// and a ping right after a join should not fail. After the relay was lost, packets for peers that were known before
// wait too: otherwise the first device to return would hear that the others are absent, and TCP would retry only after
// as long as the relay was away.

internal import SystemIO
internal import Wire

/// Packets for addresses that no listed peer has. They wait until the relay has said who has the address; if nobody,
/// their senders are told, and so are the senders of further packets for a while. Packets for returning peers wait
/// until `take`.
struct UnlocatedPackets {
  /// How long the relay's answer counts. A peer that joins ends it sooner.
  private static let validity = Duration.seconds(1)
  private static let maximumEntries = 64

  private enum Entry {
    /// The packets wait for the relay's answer until this time; `nil`: for the peer's return.
    case asked(PendingPackets, until: Instant?)
    case absent(until: Instant)
  }

  private var entries: [IPv4Address: Entry] = [:]
  private var replies = RateLimit(perSecond: 100, burst: 200)

  var addresses: [IPv4Address] { Array(entries.keys) }

  /// Whether the relay has said lately that nobody has this address.
  func isAbsent(_ address: IPv4Address, at now: Instant) -> Bool {
    if case .absent(let until) = entries[address] { now < until } else { false }
  }

  /// Keeps a packet, its offload header in front. True: the relay is to be asked.
  mutating func add(
    _ packet: UnsafeRawBufferPointer, for destination: IPv4Address, isReturning: Bool = false, at now: Instant
  ) -> Bool {
    if entries.count >= Self.maximumEntries { dropOutdated(at: now) }
    var packets = PendingPackets()
    var until = isReturning ? nil : now.advanced(by: Self.validity)
    var isNew = true
    if case .asked(let former, let end) = entries[destination], end.map({ now < $0 }) ?? true {
      (packets, until, isNew) = (former, end, false)
    }
    guard entries.count < Self.maximumEntries || entries[destination] != nil else { return false }
    entries[destination] = nil
    _ = packets.add(packet)
    entries[destination] = .asked(packets, until: until)
    return isNew
  }

  /// The relay says that nobody has this address. Returns the packets that have waited.
  mutating func markAbsent(_ address: IPv4Address, at now: Instant) -> [[UInt8]] {
    if entries.count >= Self.maximumEntries { dropOutdated(at: now) }
    guard entries.count < Self.maximumEntries || entries[address] != nil else { return [] }
    let packets = take(address)
    entries[address] = .absent(until: now.advanced(by: Self.validity))
    return packets
  }

  /// Returns the packets that have waited for this address, and forgets the relay's answer.
  mutating func take(_ address: IPv4Address) -> [[UInt8]] {
    if case .asked(var packets, _) = entries.removeValue(forKey: address) { return packets.takeAll() }
    return []
  }

  /// Whether one more sender may be told.
  mutating func mayReply(at now: Instant) -> Bool {
    replies.allow(at: now)
  }

  /// Forgets packets for which the relay has not answered in time: a device that takes the address later is not the one
  /// that they were for.
  mutating func dropOutdated(at now: Instant) {
    if entries.isEmpty { return }
    entries = entries.filter { _, entry in
      switch entry {
      case .asked(_, let until): until.map { now < $0 } ?? true
      case .absent(let until): now < until
      }
    }
  }
}

/// Packets that wait, each with its offload header in front: the latest few, since older ones are of no use.
struct PendingPackets {
  private var packets: [[UInt8]] = []
  private var bytes = 0

  private static let maximumPackets = 64
  private static let maximumBytes = 256 << 10

  var isEmpty: Bool { packets.isEmpty }

  /// Adds a packet; at the limit the oldest are dropped. Returns how many were.
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
    defer { self = PendingPackets() }
    return packets
  }
}
