internal import Wire

/// What is known of the peers that are listed: a record each, and of at most so many their orchestration information. Owned by
/// the device's thread.
struct PeerBook {
  private(set) var records: [IPv4Address: PeerRecord] = [:]
  /// Those whose information is known.
  private var known: Set<IPv4Address> = []
  private var uses: UInt64 = 0
  /// Of how many peers the information is kept.
  var limit: Int {
    didSet { shrink() }
  }

  init(limit: Int) {
    self.limit = limit
  }

  subscript(_ address: IPv4Address) -> PeerRecord? { records[address] }

  /// The record of a listed peer, made if there is none.
  mutating func record(of peer: Peer) -> PeerRecord {
    if let record = records[peer.address], record.peer == peer { return record }
    let record = PeerRecord(peer)
    known.remove(peer.address)
    records[peer.address] = record
    return record
  }

  /// The peer is not listed any more. Returns what there was of it.
  mutating func remove(_ peer: Peer) -> PeerRecord? {
    guard let record = records[peer.address], record.peer == peer else { return nil }
    known.remove(peer.address)
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
