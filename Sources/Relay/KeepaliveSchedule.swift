internal import SystemIO

/// When each session of a loop is to be looked after the next time. The times lie side by side, so that a walk over ten thousand
/// of them touches little memory, and the sessions' own only where something is due. Owned by the loop's thread.
struct KeepaliveSchedule<Member: AnyObject> {
  /// In nanoseconds; the end of time where there is nobody.
  private var due: [UInt64] = []
  private var members: [Member?] = []
  private var free: [Int] = []
  private var cursor = 0

  /// So many are walked over in one step, so that those of them that are due at once do not hold everybody's frames up.
  private static var stepSize: Int { 200 }
  private static var maximumSteps: Int { 50 }

  /// In how many steps all have their turn.
  var steps: Int { min(1 + members.count / Self.stepSize, Self.maximumSteps) }

  /// Adds a member, which is due at once. Returns its place, until it is removed.
  mutating func add(_ member: Member) -> Int {
    let place = free.popLast() ?? members.count
    if place == members.count {
      members.append(nil)
      due.append(.max)
    }
    members[place] = member
    due[place] = 0
    return place
  }

  mutating func remove(at place: Int) {
    members[place] = nil
    due[place] = .max
    free.append(place)
  }

  /// Has the member looked after in the first step of its turn that comes after `time`.
  mutating func set(_ time: Instant, at place: Int) {
    if members[place] != nil { due[place] = time.nanoseconds }
  }

  /// Has everybody looked after in the next round.
  mutating func setAll() {
    for place in due.indices where members[place] != nil { due[place] = 0 }
  }

  /// Those of the next part who are due at `now`; they are due again when `set` says so.
  mutating func takeDue(at now: Instant) -> [Member] {
    guard !due.isEmpty else { return [] }
    let count = (due.count + steps - 1) / steps
    if cursor >= due.count { cursor = 0 }
    let part = cursor..<min(cursor + count, due.count)
    cursor = part.upperBound
    var members: [Member] = []
    for place in part where due[place] <= now.nanoseconds {
      due[place] = .max
      if let member = self.members[place] { members.append(member) }
    }
    return members
  }
}
