/// Whose turn it is to be looked after: everybody's once a round, a few at a time, since to ask thousands for a sign of life
/// at once would hold everybody's frames up.
struct CheckRound {
  private var waiting: [ObjectIdentifier] = []
  private var atOnce = 0
  /// In how many steps all have their turn.
  private(set) var steps = 1

  private static let memberGoal = 200
  private static let maximumSteps = 50

  /// The next few. Once all have had their turn, a new round begins with those that there are then.
  mutating func next<Member>(of members: [ObjectIdentifier: Member]) -> [Member] {
    if waiting.isEmpty {
      waiting = Array(members.keys)
      steps = min(1 + waiting.count / Self.memberGoal, Self.maximumSteps)
      atOnce = (waiting.count + steps - 1) / steps
    }
    let turn = waiting.suffix(atOnce).compactMap { members[$0] }
    waiting.removeLast(min(atOnce, waiting.count))
    return turn
  }
}
