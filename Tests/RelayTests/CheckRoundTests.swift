import Testing

@testable import Relay

@Suite struct CheckRoundTests {
  private final class Member {}

  private func members(_ count: Int) -> [ObjectIdentifier: Member] {
    Dictionary(
      uniqueKeysWithValues: (0..<count).map { _ in
        let member = Member()
        return (ObjectIdentifier(member), member)
      })
  }

  @Test(arguments: [0, 1, 199, 200, 201, 5000, 10_001, 30_000])
  func `everybody has one turn a round`(count: Int) {
    let members = members(count)
    var round = CheckRound()
    for _ in 0..<2 {
      var seen = round.next(of: members)
      let most = seen.count
      for _ in 1..<round.steps {
        let turn = round.next(of: members)
        #expect(turn.count <= most)
        seen += turn
      }
      #expect(Set(seen.map(ObjectIdentifier.init)) == Set(members.keys))
      #expect(seen.count == count)
      #expect(most <= 200 || round.steps == 50)
    }
  }

  @Test func `who has left has no turn, and who has come has one in the next round`() {
    var members = members(1000)
    var round = CheckRound()
    var seen = round.next(of: members)
    let gone = members.filter { member in !seen.contains { $0 === member.value } }.keys.first
    let left = gone.flatMap { members.removeValue(forKey: $0) }
    let new = Member()
    members[ObjectIdentifier(new)] = new
    for _ in 1..<round.steps { seen += round.next(of: members) }
    #expect(left != nil && !seen.contains { $0 === left } && !seen.contains { $0 === new })
    seen = []
    repeat { seen += round.next(of: members) } while seen.count < members.count
    #expect(seen.contains { $0 === new } && seen.count == members.count)
  }
}
