// Which member gets which updates:
//
//   a network of at most `listLimit` devices   all updates about all members
//   a larger one                               updates about the members that it has asked for
//
// So the relay's updates grow with the changes and with the traffic relations, not with the square of the number of
// devices. When a network grows past the limit, or shrinks well below it, the members change over, some at a time.

internal import Admission
internal import Link
internal import Wire

/// The connected devices, and the updates about them that are still to be sent. Guarded by the lock of `Presence`.
struct PresenceTable {
  // Set once.
  private let listLimit: Int

  private(set) var members: [String: Member] = [:]
  private var byAddress: [IPv4Address: Member] = [:]
  /// Of several members with one label, which old records may have, the first that connected.
  private var byLabel: [String: Member] = [:]
  /// Rises by one with every update to the members that get all updates.
  private var revision = 0
  private var changes: [IPv4Address: Change] = [:]
  private var isLarge = false
  /// Whether some members have still to change over.
  private var isMoving = false

  /// The change of an address since the last update.
  private struct Change {
    /// The member that has it now.
    var joined: Member?
    /// The members to tell if nobody has it.
    var watchers: [ObjectIdentifier: Member] = [:]
    /// Whether an operator revoked or removed its device.
    var isDismissed = false
  }

  /// How many members change over at a time.
  private static let moves = 64

  init(listLimit: Int) {
    self.listLimit = listLimit
  }

  func member(_ deviceID: String) -> Member? { members[deviceID] }

  func member(at address: IPv4Address) -> Member? { byAddress[address] }

  /// The device IDs of the members by address.
  var holders: [IPv4Address: String] { byAddress.mapValues(\.request.deviceID) }

  // MARK: Members

  /// Adds a member; no other one has its device ID or its address.
  mutating func add(_ session: Session, _ request: AdmissionRequest, at address: IPv4Address) -> Member {
    let member = Member(session: session, request: request, address: address, isPartial: isLarge)
    members[request.deviceID] = member
    byAddress[address] = member
    let label = HostLabel.label(of: request.deviceID)
    byLabel[label] = byLabel[label] ?? member
    if let change = changes[address] { member.inherit(change.watchers) }
    changes[address] = Change(joined: member)
    decideSize()
    return member
  }

  mutating func remove(_ member: Member) {
    members[member.request.deviceID] = nil
    byAddress[member.address] = nil
    let label = HostLabel.label(of: member.request.deviceID)
    if byLabel[label] === member { byLabel[label] = nil }
    for address in member.takeWatched() {
      byAddress[address]?.loseWatcher(member)
      changes[address]?.watchers[ObjectIdentifier(member)] = nil
    }
    changes[member.address] = Change(watchers: member.takeWatchers(), isDismissed: member.isDismissed)
    decideSize()
  }

  private mutating func decideSize() {
    if members.count > listLimit, !isLarge {
      isLarge = true
      isMoving = true
    } else if members.count <= listLimit - listLimit / 4, isLarge {
      isLarge = false
      isMoving = true
    }
  }

  // MARK: Updates

  /// Sends a member the whole list: a new member, or one that has missed an update.
  func tellEverything(to member: Member) {
    member.revision = revision
    guard !member.isPartial else {
      return member.send(PeerUpdate.frame(revision: revision, since: nil, joined: [], partial: true))
    }
    // The next update may repeat a part of this.
    var others = members.values.filter { $0 !== member }.map(\.encoded)[...]
    var since: Int?
    repeat {
      let part = others.prefix(PeerUpdate.maximumPeers)
      others = others.dropFirst(part.count)
      member.send(
        PeerUpdate.frame(revision: revision, since: since, joined: part, more: others.isEmpty ? nil : true))
      since = revision
    } while !others.isEmpty
  }

  /// Answers a member which device has an address or a label, or that none has.
  func locate(_ sought: Sought, for member: Member) {
    let found =
      switch sought {
      case .address(let address): byAddress[address]
      case .label(let label): byLabel[label]
      }
    guard let other = found else {
      return member.send(ControlMessage.unreachable(sought).frame())
    }
    let told = member.isPartial ? member.revision : revision
    var forgotten: IPv4Address?
    if member.isPartial, other !== member {
      forgotten = member.watch(other)
      if let forgotten { byAddress[forgotten]?.loseWatcher(member) }
    }
    member.send(
      PeerUpdate.frame(revision: told, since: told, joined: [other.encoded], left: forgotten.map { [$0] } ?? []))
  }

  /// Sends the changes since the last update. True: there is more to send soon.
  mutating func tellChanges() -> Bool {
    if !changes.isEmpty {
      let changes = changes.sorted { $0.key < $1.key }
      self.changes = [:]
      tellAll(changes)
      tellWatchers(changes)
    }
    if isMoving { move() }
    return isMoving
  }

  private typealias Changes = [(key: IPv4Address, value: Change)]

  private mutating func tellAll(_ changes: Changes) {
    let listeners = members.values.filter { !$0.isPartial }
    guard !listeners.isEmpty else { return }
    let since = revision
    revision += 1
    let left = changes.filter { $0.value.joined == nil }
    let joined = changes.compactMap(\.value.joined?.encoded)
    for frame in Self.frames(left: left, joined: joined, since: since, revision: revision) {
      for member in listeners { member.send(frame) }
    }
  }

  /// The frames of an update from the revision `since` to `revision`. First the members that left, then those that
  /// joined, because an address may be in both. A frame that is not the last has the revision that it builds on, so
  /// that the next one fits.
  private static func frames(left: Changes, joined: [EncodedPeer], since: Int, revision: Int) -> [[UInt8]] {
    var (left, joined) = (left[...], joined[...])
    var frames: [[UInt8]] = []
    repeat {
      let gone = left.prefix(PeerUpdate.maximumLeft)
      left = left.dropFirst(gone.count)
      let come = left.isEmpty ? joined.prefix(PeerUpdate.maximumPeers) : []
      joined = joined.dropFirst(come.count)
      let isLast = left.isEmpty && joined.isEmpty
      frames.append(
        PeerUpdate.frame(
          revision: isLast ? revision : since, since: since, joined: come, left: gone.map(\.key),
          dismissed: gone.filter(\.value.isDismissed).map(\.key)))
    } while !left.isEmpty || !joined.isEmpty
    return frames
  }

  private func tellWatchers(_ changes: Changes) {
    var news: [ObjectIdentifier: (member: Member, left: Changes, joined: [EncodedPeer])] = [:]
    for change in changes {
      let joined = change.value.joined
      for (id, watcher) in joined?.watchers ?? change.value.watchers {
        var item = news[id] ?? (watcher, [], [])
        if let joined {
          item.joined.append(joined.encoded)
        } else {
          item.left.append(change)
          // A watcher that wants the next device at this address asks again.
          watcher.stopWatching(change.key)
        }
        news[id] = item
      }
    }
    for (member, left, joined) in news.values where member.isPartial {
      let revision = member.revision
      for frame in Self.frames(left: left, joined: joined, since: revision, revision: revision) { member.send(frame) }
    }
  }

  /// Changes some members over.
  private mutating func move() {
    let late = members.values.filter { $0.isPartial != isLarge }.prefix(Self.moves)
    isMoving = late.count == Self.moves
    for member in late {
      member.isPartial = isLarge
      for address in member.takeWatched() { byAddress[address]?.loseWatcher(member) }
      tellEverything(to: member)
    }
  }
}

/// A connected device. Guarded by the lock of `Presence`.
final class Member {
  // Set once.
  let session: Session
  let request: AdmissionRequest
  let address: IPv4Address
  /// The device as updates describe it.
  let encoded: EncodedPeer

  /// Whether an operator revoked or removed the device: its peers must forget their sessions with it.
  var isDismissed = false
  /// Whether it gets updates only about the peers that it has asked for.
  var isPartial: Bool
  /// The revision of its last update. The table's revision counts for a member that gets all updates.
  var revision = 0
  /// The members that have asked for this one, and get updates about it.
  private(set) var watchers: [ObjectIdentifier: Member] = [:]
  /// The addresses that this member has asked for, the latest last.
  private(set) var watched: [IPv4Address] = []

  init(session: Session, request: AdmissionRequest, address: IPv4Address, isPartial: Bool) {
    self.session = session
    self.request = request
    self.address = address
    self.isPartial = isPartial
    encoded = EncodedPeer(
      Peer(address: address, deviceID: request.deviceID, key: request.key, ciphers: request.ciphers))
  }

  func send(_ frame: [UInt8]) {
    session.connection.send(control: frame)
  }

  /// Sends this member updates about `other` from now on. Returns the address that it stops watching instead.
  func watch(_ other: Member) -> IPv4Address? {
    guard other.watchers.updateValue(self, forKey: ObjectIdentifier(self)) == nil else { return nil }
    watched.append(other.address)
    return watched.count > Sought.maximumWatched ? watched.removeFirst() : nil
  }

  func loseWatcher(_ other: Member) {
    watchers[ObjectIdentifier(other)] = nil
  }

  func stopWatching(_ address: IPv4Address) {
    if let index = watched.firstIndex(of: address) { watched.remove(at: index) }
  }

  /// Takes the watchers, for the next member at this address or for the update that this one has left.
  func takeWatchers() -> [ObjectIdentifier: Member] {
    defer { watchers = [:] }
    return watchers
  }

  func inherit(_ watchers: [ObjectIdentifier: Member]) {
    self.watchers = watchers
  }

  func takeWatched() -> [IPv4Address] {
    defer { watched = [] }
    return watched
  }
}
