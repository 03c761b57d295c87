import SystemIO
import Testing

@testable import Device

@Suite struct RelayEchoesTests {
  /// The replies, in order.
  private final class Answers {
    var heard: [Duration?] = []
  }

  private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  @Test func `an echo counts for those who had asked before it was sent, and for nobody later`() {
    let answers = Answers()
    var echoes = RelayEchoes()
    _ = echoes.begin(at: at(100)) { answers.heard.append($0) }
    _ = echoes.begin(at: at(150)) { answers.heard.append($0) }
    // Sent at 140.
    echoes.end(with: .milliseconds(20), at: at(160))
    #expect(answers.heard == [.milliseconds(20)])
    echoes.end(with: .milliseconds(10), at: at(170))
    #expect(answers.heard == [.milliseconds(20), .milliseconds(10)])
  }

  @Test func `who waits is told once, also when the time is over or the connection lost`() throws {
    let answers = Answers()
    var echoes = RelayEchoes()
    let number = try #require(echoes.begin(at: at(1)) { answers.heard.append($0) })
    _ = echoes.begin(at: at(1)) { answers.heard.append($0) }
    echoes.giveUp(number)
    echoes.giveUp(number)
    #expect(answers.heard == [nil])
    echoes.giveUp()
    echoes.end(with: .milliseconds(1), at: at(50))
    #expect(answers.heard == [nil, nil])
  }

  @Test func `only so many wait at once`() {
    var echoes = RelayEchoes()
    let numbers = (0..<100).map { _ in echoes.begin(at: at(1)) { _ in } }
    #expect(numbers.prefix(64).allSatisfy { $0 != nil } && numbers.dropFirst(64).allSatisfy { $0 == nil })
  }
}
