// A packet for an unknown address waits until the relay has answered, because the device's list of peers may be behind,
// and a ping right after a join should not fail. After the relay was lost, packets for peers that were known before
// wait too: otherwise the first device to return would hear that the others are absent, and TCP would retry only after
// as long as the relay was away.

internal import SystemIO
internal import Wire

/// Packets for addresses that no listed peer has. They wait until the relay has said who has the address; if nobody,
/// their senders are told, and so are the senders of further packets for a while. Packets for peers that were there
/// before the connection to the relay was lost wait longer, since those peers have to reconnect too.
struct UnlocatedPackets {
  /// How long the relay's answer counts. A peer that joins ends it sooner.
  private static let validity = Duration.seconds(1)
  private static let maximumEntries = 64
  /// How long this device waits for peers that were there before; they come back within two seconds or so.
  static let returnTime = Duration.seconds(10)

  private enum Entry {
    /// Asked at this time; the packets wait for the answer.
    case asked(PendingPackets, Instant)
    case absent(until: Instant)
  }

  private var entries: [IPv4Address: Entry] = [:]
  /// Peers that were there when the connection was lost and are not back yet.
  private var missed: Set<IPv4Address> = []
  private var replies = RateLimit(perSecond: 100, burst: 200)

  /// The addresses with waiting packets or an answer.
  var addresses: [IPv4Address] { Array(entries.keys) }

  // MARK: Peers that come back

  /// The connection to the relay is new; there were peers at `missed` before.
  mutating func await(_ missed: some Sequence<IPv4Address>) {
    self.missed = Set(missed)
  }

  /// Peers for which `isBack` is true are not missed any more.
  mutating func areBack(_ isBack: (IPv4Address) -> Bool) {
    if !missed.isEmpty { missed = missed.filter { !isBack($0) } }
  }

  /// The missed peers that packets wait for; the relay is to be asked for them again.
  var awaited: [IPv4Address] { entries.keys.filter { missed.contains($0) } }

  /// Waits no longer, and returns the packets that have waited in vain.
  mutating func endAwaiting() -> [[UInt8]] {
    let addresses = awaited
    missed = []
    return addresses.flatMap { take($0) }
  }

  // MARK: Packets

  /// Whether the relay has said lately that nobody has this address.
  func isAbsent(_ address: IPv4Address, at now: Instant) -> Bool {
    if case .absent(let until) = entries[address] { now < until } else { false }
  }

  /// Keeps a packet, its offload header in front. True: the relay is to be asked.
  mutating func add(_ packet: UnsafeRawBufferPointer, for destination: IPv4Address, at now: Instant) -> Bool {
    if entries.count >= Self.maximumEntries { dropOutdated(at: now) }
    if case .asked(var packets, let since) = entries[destination],
      now.since(since) < Self.validity || missed.contains(destination)
    {
      _ = packets.add(packet)
      entries[destination] = .asked(packets, since)
      return false
    }
    guard entries.count < Self.maximumEntries || entries[destination] != nil else { return false }
    var packets = PendingPackets()
    _ = packets.add(packet)
    entries[destination] = .asked(packets, now)
    return true
  }

  /// The relay says that nobody has this address. Returns the packets that have waited.
  mutating func markAbsent(_ address: IPv4Address, at now: Instant) -> [[UInt8]] {
    // Too early to say so.
    if missed.contains(address) { return [] }
    if entries.count >= Self.maximumEntries { dropOutdated(at: now) }
    let former = entries[address]
    guard entries.count < Self.maximumEntries || former != nil else { return [] }
    entries[address] = .absent(until: now.advanced(by: Self.validity))
    if case .asked(var packets, _) = former { return packets.takeAll() }
    return []
  }

  /// A listed peer has this address. Returns the packets that have waited.
  mutating func take(_ address: IPv4Address) -> [[UInt8]] {
    missed.remove(address)
    if case .asked(var packets, _) = entries.removeValue(forKey: address) { return packets.takeAll() }
    return []
  }

  /// Whether one more sender may be told now.
  mutating func mayReply(at now: Instant) -> Bool {
    replies.allow(at: now)
  }

  /// Forgets packets for which the relay has not answered in time: a device that takes the address later is not the one
  /// that they were for.
  mutating func dropOutdated(at now: Instant) {
    if entries.isEmpty { return }
    entries = entries.filter { address, entry in
      switch entry {
      case .asked(_, let since): now.since(since) < Self.validity || missed.contains(address)
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
