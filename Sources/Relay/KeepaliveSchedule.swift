internal import SystemIO

/// When each session of a loop has its next keepalive check. The times are adjacent, so that a walk over ten thousand
/// of them touches little memory. Owned by the loop's thread.
struct KeepaliveSchedule<Member: AnyObject> {
  /// Nanoseconds; the maximum where there is no member.
  private var due: [UInt64] = []
  private var members: [Member?] = []
  private var free: [Int] = []
  private var cursor = 0

  /// How many members one step walks over, so that the checks do not delay frames.
  private static var stepSize: Int { 200 }
  private static var maximumSteps: Int { 50 }

  /// The number of steps of a round over all members.
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

  /// Makes the member due in its first turn after `time`.
  mutating func set(_ time: Instant, at place: Int) {
    if members[place] != nil { due[place] = time.nanoseconds }
  }

  /// Makes all members due in the next round.
  mutating func setAll() {
    for place in due.indices where members[place] != nil { due[place] = 0 }
  }

  /// The due members of the next step. They are due again when `set` says so.
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
