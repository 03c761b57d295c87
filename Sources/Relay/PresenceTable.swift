// Who is told of whom:
//
//   a network of at most `listLimit` devices   everybody is told of everybody: all at first, then what has changed
//   a larger one                               everybody is told of those it has asked for, and of what becomes of them
//
// So what the relay sends grows with what has changed and with who talks to whom, not with the square of the devices. When a
// network grows past the limit, or shrinks well below it, its members are moved from one way to the other, some at a time.

internal import Wire

/// The members, and what they have yet to be told of each other. Guarded by the presence's lock.
struct PresenceTable {
  // Set once.
  private let listLimit: Int

  private(set) var members: [String: Member] = [:]
  private var byAddress: [IPv4Address: Member] = [:]
  /// Of several that have one label, as a store of former times may know, the first that has come.
  private var byLabel: [String: Member] = [:]
  /// Rises by one with every update that is sent to those who are told everything.
  private var revision = 0
  private var changes: [IPv4Address: Change] = [:]
  private var isLarge = false
  /// Whether some members are still told in the other way.
  private var isMoving = false

  /// What has become of an address since the last update.
  private struct Change {
    /// Who has it now.
    var joined: Member?
    /// Those to tell if nobody has.
    var watchers: [ObjectIdentifier: Member] = [:]
    /// Whether its device was sent away for good.
    var isDismissed = false
  }

  /// How many members are moved at a time.
  private static let moves = 64

  init(listLimit: Int) {
    self.listLimit = listLimit
  }

  func member(_ deviceID: String) -> Member? { members[deviceID] }

  func member(at address: IPv4Address) -> Member? { byAddress[address] }

  /// The device IDs of those that are in, by address.
  var holders: [IPv4Address: String] { byAddress.mapValues(\.applicant.deviceID) }

  // MARK: Coming and going

  /// Adds a member, whose device and address have no other one.
  mutating func add(_ session: Session, _ applicant: Applicant, at address: IPv4Address) -> Member {
    let member = Member(session: session, applicant: applicant, address: address, isPartial: isLarge)
    members[applicant.deviceID] = member
    byAddress[address] = member
    let label = HostLabel.label(of: applicant.deviceID)
    byLabel[label] = byLabel[label] ?? member
    if let change = changes[address] { member.inherit(change.watchers) }
    changes[address] = Change(joined: member)
    decideSize()
    return member
  }

  mutating func remove(_ member: Member) {
    members[member.applicant.deviceID] = nil
    byAddress[member.address] = nil
    let label = HostLabel.label(of: member.applicant.deviceID)
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

  // MARK: Telling

  /// Tells a member from the beginning: a new one, or one that has missed something.
  func tellEverything(to member: Member) {
    member.revision = revision
    guard !member.isPartial else {
      return member.send(PeerUpdate.frame(revision: revision, since: nil, joined: [], partial: true))
    }
    // What has not been sent as an update yet will be, and may say the same again.
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

  /// Tells a member who has an address or a label, or that nobody has.
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

  /// Tells what has changed since the last time, if anything. True: there is more to be told soon.
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
    var joined = changes.compactMap(\.value.joined?.encoded)[...]
    var left = changes.filter { $0.value.joined == nil }[...]
    // First who left, then who joined, since an address may have changed hands. A part that is not the last leads to the
    // revision that it builds on, so that the next one fits.
    repeat {
      let gone = left.prefix(PeerUpdate.maximumLeft)
      left = left.dropFirst(gone.count)
      let come = left.isEmpty ? joined.prefix(PeerUpdate.maximumPeers) : []
      joined = joined.dropFirst(come.count)
      let isLast = left.isEmpty && joined.isEmpty
      let frame = PeerUpdate.frame(
        revision: isLast ? revision : since, since: since, joined: come, left: gone.map(\.key),
        dismissed: gone.filter(\.value.isDismissed).map(\.key))
      for member in listeners { member.send(frame) }
    } while !left.isEmpty || !joined.isEmpty
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
          // Who wants to know of whoever is there next asks again.
          watcher.stopWatching(change.key)
        }
        news[id] = item
      }
    }
    for (member, left, joined) in news.values where member.isPartial {
      var (left, joined) = (left[...], joined[...])
      repeat {
        let (gone, come) = (left.prefix(PeerUpdate.maximumLeft), joined.prefix(PeerUpdate.maximumPeers))
        (left, joined) = (left.dropFirst(gone.count), joined.dropFirst(come.count))
        member.send(
          PeerUpdate.frame(
            revision: member.revision, since: member.revision, joined: come, left: gone.map(\.key),
            dismissed: gone.filter(\.value.isDismissed).map(\.key)))
      } while !left.isEmpty || !joined.isEmpty
    }
  }

  /// Moves some members to the way that they are to be told in.
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
