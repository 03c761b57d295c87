/// The sessions of a loop that have not joined, by source address. To add one, to remove one and to find the one to
/// evict takes constant time. Owned by the loop's thread.
struct UnauthenticatedSessions<Member: AnyObject> {
  private(set) var count = 0
  private var hosts: [String: Host] = [:]
  /// The source addresses by their number of sessions.
  private var crowds: [Set<String>] = [[]]

  /// In the order of arrival; those that have left are missing in `members`.
  fileprivate struct Host {
    var order: [ObjectIdentifier] = []
    var first = 0
    var members: [ObjectIdentifier: Member] = [:]
  }

  mutating func add(_ member: Member, from name: String) {
    var host = hosts.removeValue(forKey: name) ?? Host()
    let former = host.members.count
    defer { hosts[name] = host }
    guard host.members.updateValue(member, forKey: ObjectIdentifier(member)) == nil else { return }
    host.order.append(ObjectIdentifier(member))
    count += 1
    move(name, from: former, to: former + 1)
  }

  mutating func remove(_ member: Member, from name: String) {
    guard var host = hosts.removeValue(forKey: name) else { return }
    let former = host.members.count
    if host.members.removeValue(forKey: ObjectIdentifier(member)) != nil {
      count -= 1
      move(name, from: former, to: former - 1)
    }
    guard !host.members.isEmpty else { return }
    host.dropGone()
    hosts[name] = host
  }

  /// The session to evict: the oldest from the address with most sessions.
  var worst: Member? { crowds.last?.first.flatMap { hosts[$0]?.oldest } }

  private mutating func move(_ name: String, from: Int, to: Int) {
    if crowds.count <= to { crowds.append([]) }
    crowds[from].remove(name)
    if to > 0 { crowds[to].insert(name) }
    while crowds.count > 1, crowds.last?.isEmpty == true { crowds.removeLast() }
  }
}

extension UnauthenticatedSessions.Host {
  fileprivate var oldest: Member? { first < order.count ? members[order[first]] : nil }

  /// Drops sessions that have left, so that the first in the order is present, and the order stays short.
  fileprivate mutating func dropGone() {
    while first < order.count, members[order[first]] == nil { first += 1 }
    guard order.count > 2 * members.count + 16 else { return }
    order = order[first...].filter { members[$0] != nil }
    first = 0
  }
}
