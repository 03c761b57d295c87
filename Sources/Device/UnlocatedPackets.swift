internal import SystemIO
internal import Wire

/// Packets for addresses of which no peer is known. They wait until the relay has said who has the address; when it says that
/// nobody does, their senders are told, and those of further packets at once for a while. Packets for those who were there
/// before the relay was lost wait a little longer: they are on their way back, too.
struct UnlocatedPackets {
  /// How long a relay's word counts. A peer that joins ends it sooner.
  private static let validity = Duration.seconds(1)
  private static let maximumEntries = 64
  /// How long those who were there before are waited for: they come back within two seconds or so.
  static let returnTime = Duration.seconds(10)

  private enum Entry {
    /// Asked; the packets wait for the answer.
    case asked(PendingPackets, Instant)
    case absent(until: Instant)
  }

  private var entries: [IPv4Address: Entry] = [:]
  /// Who was there when the relay was lost, while they are waited for.
  private var missed: Set<IPv4Address> = []
  private var replies = RateLimit(perSecond: 100, burst: 200)

  /// Those that something is known of.
  var addresses: [IPv4Address] { Array(entries.keys) }

  // MARK: Those who come back

  /// The connection to the relay is new: `missed` were there before.
  mutating func await(_ missed: some Sequence<IPv4Address>) {
    self.missed = Set(missed)
  }

  /// These are back; of who else was missed nothing is known.
  mutating func areBack(_ isBack: (IPv4Address) -> Bool) {
    if !missed.isEmpty { missed = missed.filter { !isBack($0) } }
  }

  /// Those of them that packets wait for, so that the relay is to be asked anew.
  var awaited: [IPv4Address] { entries.keys.filter { missed.contains($0) } }

  /// Waits no longer. Returns what has waited in vain.
  mutating func endAwaiting() -> [[UInt8]] {
    let addresses = awaited
    missed = []
    return addresses.flatMap { take($0) }
  }

  // MARK: Those who are not known

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

  /// The relay says that nobody has this address. Returns what has waited for this.
  mutating func markAbsent(_ address: IPv4Address, at now: Instant) -> [[UInt8]] {
    // The relay's word is too early.
    if missed.contains(address) { return [] }
    if entries.count >= Self.maximumEntries { dropOutdated(at: now) }
    let former = entries[address]
    guard entries.count < Self.maximumEntries || former != nil else { return [] }
    entries[address] = .absent(until: now.advanced(by: Self.validity))
    if case .asked(var packets, _) = former { return packets.takeAll() }
    return []
  }

  /// Somebody has this address. Returns what has waited for this.
  mutating func take(_ address: IPv4Address) -> [[UInt8]] {
    missed.remove(address)
    if case .asked(var packets, _) = entries.removeValue(forKey: address) { return packets.takeAll() }
    return []
  }

  /// Whether one more sender may be told now.
  mutating func mayReply(at now: Instant) -> Bool {
    replies.allow(at: now)
  }

  /// Forgets what the relay has not answered in time: whoever takes the address later is not whom the packets were for.
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
