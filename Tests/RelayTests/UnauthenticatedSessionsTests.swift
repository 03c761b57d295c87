import Testing

@testable import Relay

@Suite struct UnauthenticatedSessionsTests {
  private final class Member {}

  @Test func `the one from the largest crowd that has waited for longest gives way`() {
    var strangers = UnauthenticatedSessions<Member>()
    let (few, many) = ([Member(), Member()], [Member(), Member(), Member()])
    for member in few { strangers.add(member, from: "few") }
    for member in many { strangers.add(member, from: "many") }
    #expect(strangers.count == 5)
    #expect(strangers.worst === many[0])
    // Who has joined meanwhile is passed over.
    strangers.remove(many[0], from: "many")
    strangers.remove(many[1], from: "many")
    #expect(strangers.worst === few[0])
    strangers.remove(few[0], from: "few")
    strangers.remove(few[0], from: "few")
    strangers.remove(Member(), from: "nowhere")
    #expect(strangers.count == 2)
    strangers.remove(few[1], from: "few")
    #expect(strangers.worst === many[2])
    strangers.remove(many[2], from: "many")
    #expect(strangers.count == 0 && strangers.worst == nil)
  }

  @Test func `whoever leaves from the middle is let go of`() {
    var strangers = UnauthenticatedSessions<Member>()
    weak var gone: Member?
    let first = Member()
    strangers.add(first, from: "host")
    for _ in 0..<1000 {
      let member = Member()
      gone = member
      strangers.add(member, from: "host")
      strangers.remove(member, from: "host")
    }
    #expect(strangers.count == 1 && strangers.worst === first)
    for _ in 0..<40 {
      let member = Member()
      strangers.add(member, from: "host")
      strangers.remove(member, from: "host")
    }
    #expect(gone == nil)
  }
}
