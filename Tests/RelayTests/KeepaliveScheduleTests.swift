import SystemIO
import Testing

@testable import Relay

@Suite struct KeepaliveScheduleTests {
  private final class Member {}

  private let now = Instant(nanoseconds: 1_000_000_000_000)
  private func later(_ seconds: Int) -> Instant { now.advanced(by: .seconds(seconds)) }

  /// Everybody who is due in one round, and the most at once.
  private func round(_ schedule: inout KeepaliveSchedule<Member>, at time: Instant) -> (all: [Member], most: Int) {
    var (all, most) = ([Member](), 0)
    for _ in 0..<schedule.steps {
      let turn = schedule.takeDue(at: time)
      all += turn
      most = max(most, turn.count)
    }
    return (all, most)
  }

  @Test(arguments: [0, 1, 199, 200, 201, 5000, 10_001, 30_000])
  func `everybody has one turn a round, few at once`(count: Int) {
    let members = (0..<count).map { _ in Member() }
    var schedule = KeepaliveSchedule<Member>()
    let places = members.map { schedule.add($0) }
    for _ in 0..<2 {
      let (seen, most) = round(&schedule, at: now)
      #expect(Set(seen.map(ObjectIdentifier.init)) == Set(members.map(ObjectIdentifier.init)))
      #expect(seen.count == count)
      #expect(most <= 200 || schedule.steps == 50)
      for place in places { schedule.set(now, at: place) }
    }
  }

  @Test func `nobody is due before the time, nor twice`() {
    let (early, late) = (Member(), Member())
    var schedule = KeepaliveSchedule<Member>()
    let (first, second) = (schedule.add(early), schedule.add(late))
    #expect(round(&schedule, at: now).all.count == 2)
    #expect(round(&schedule, at: later(1000)).all.isEmpty)
    schedule.set(later(1), at: first)
    schedule.set(later(2), at: second)
    #expect(round(&schedule, at: now).all.isEmpty)
    #expect(round(&schedule, at: later(1)).all.map(ObjectIdentifier.init) == [ObjectIdentifier(early)])
    schedule.setAll()
    #expect(round(&schedule, at: now).all.count == 2)
  }

  @Test func `who has left has no turn, and whoever takes the place has one`() {
    let (old, new) = (Member(), Member())
    var schedule = KeepaliveSchedule<Member>()
    let place = schedule.add(old)
    schedule.remove(at: place)
    schedule.set(now, at: place)
    schedule.setAll()
    #expect(round(&schedule, at: now).all.isEmpty)
    #expect(schedule.add(new) == place)
    #expect(round(&schedule, at: now).all.map(ObjectIdentifier.init) == [ObjectIdentifier(new)])
  }
}
