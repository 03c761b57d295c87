internal import SystemIO
internal import Wire

/// What is known of the peers that are listed: a record each, and of at most so many their orchestration information. Owned by
/// the device's thread.
struct PeerBook {
  private(set) var records: [IPv4Address: PeerRecord] = [:]
  /// Those whose information is known.
  private var known: Set<IPv4Address> = []
  /// What those had told that have left just now.
  private var parted: [IPv4Address: (peer: Peer, orchestration: Orchestration, until: Instant)] = [:]
  private static let partedTime = Duration.seconds(60)
  private var uses: UInt64 = 0
  /// Of how many peers the information is kept.
  var limit: Int {
    didSet { shrink() }
  }

  init(limit: Int) {
    self.limit = limit
  }

  subscript(_ address: IPv4Address) -> PeerRecord? { records[address] }

  /// The record of a listed peer, made if there is none. One that is back has what it had told before.
  mutating func record(of peer: Peer) -> PeerRecord {
    if let record = records[peer.address], record.peer == peer { return record }
    let record = PeerRecord(peer)
    known.remove(peer.address)
    records[peer.address] = record
    if let former = parted.removeValue(forKey: peer.address), former.peer == peer,
      Instant.now() < former.until
    {
      touch(record)
      record.orchestration = former.orchestration
      known.insert(peer.address)
      shrink()
    }
    return record
  }

  /// The peer is not listed any more. Returns what there was of it; what it had told is kept for a while, for its return.
  mutating func remove(_ peer: Peer) -> PeerRecord? {
    guard let record = records[peer.address], record.peer == peer else { return nil }
    known.remove(peer.address)
    if let orchestration = record.orchestration {
      let now = Instant.now()
      if parted.count >= max(limit, 1) { parted = parted.filter { now < $0.value.until } }
      if parted.count < max(limit, 1) {
        parted[peer.address] = (peer, orchestration, now.advanced(by: Self.partedTime))
      }
    }
    return records.removeValue(forKey: peer.address)
  }

  /// Takes what a peer tells of itself if that is newer than what is known. True: it is.
  mutating func learn(_ information: Orchestration, of record: PeerRecord) -> Bool {
    touch(record)
    if let former = record.orchestration, former.revision >= information.revision { return false }
    record.orchestration = information
    known.insert(record.peer.address)
    shrink()
    return true
  }

  /// What is known of the peer has been of use: that of others is forgotten first.
  mutating func touch(_ record: PeerRecord) {
    uses += 1
    record.usedAt = uses
  }

  private mutating func shrink() {
    let excess = known.count - max(limit, 1)
    guard excess > 0 else { return }
    func isOlder(_ one: IPv4Address, _ other: IPv4Address) -> Bool {
      (records[one]?.usedAt ?? 0) < (records[other]?.usedAt ?? 0)
    }
    let oldest = excess == 1 ? known.min(by: isOlder).map { [$0] } ?? [] : known.sorted(by: isOlder)
    for address in oldest.prefix(excess) {
      known.remove(address)
      records[address]?.orchestration = nil
    }
  }
}
