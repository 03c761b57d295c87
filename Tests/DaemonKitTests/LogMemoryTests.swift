import Logging
import Testing

@testable import DaemonKit

@Suite struct LogMemoryTests {
  @Test(arguments: [0, 2, 3, 4, 7])
  func `the last ones stay, in order`(count: Int) {
    var last = Last<Int>(3)
    for number in 0..<count { last.add(number) }
    #expect(last.inOrder == Array((0..<count).suffix(3)))
  }

  @Test func `news do not drive out what went wrong`() {
    var memory = LogMemory()
    func add(_ level: Logger.Level, _ text: String) {
      memory.add(LogMemory.Line(time: "", unixTime: 0, level: level, text: text))
    }
    add(.error, "wrong")
    for number in 0..<1000 { add(.info, "\(number)") }
    #expect(memory.problems.map(\.text) == ["wrong"])
    #expect(memory.recent.inOrder.map(\.text) == (800..<1000).map { "\($0)" })
  }

  @Test func `what goes wrong again and again does not drive out what went wrong before`() {
    var memory = LogMemory()
    for (time, text) in ["first", "again", "again", "again", "again", "again", "b", "c", "again"].enumerated() {
      memory.add(LogMemory.Line(time: "", unixTime: Int64(time), level: .warning, text: text))
    }
    #expect(memory.problems.map(\.text) == ["first", "b", "c", "again"])
    #expect(memory.problems.last?.unixTime == 8)
    for number in 0..<10 {
      memory.add(LogMemory.Line(time: "", unixTime: 9, level: .error, text: "\(number)"))
    }
    #expect(memory.problems.map(\.text) == ["5", "6", "7", "8", "9"])
  }

  @Test func `what differs in its delay alone is the same again, and is there as it was said last`() {
    var memory = LogMemory()
    for (text, subject) in [
      ("first", nil), ("refused; in 99 ms", "refused"), ("lost; in 9 ms", "lost"), ("refused; in 351 ms", "refused"),
    ] {
      memory.add(LogMemory.Line(time: "", unixTime: 0, level: .warning, text: text, subject: subject))
    }
    #expect(memory.problems.map(\.text) == ["first", "lost; in 9 ms", "refused; in 351 ms"])
    #expect(memory.recent.inOrder.count == 4)
  }
}
