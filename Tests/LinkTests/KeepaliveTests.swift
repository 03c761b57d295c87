import SystemIO
import Testing

@testable import Link

/// With made-up time: what both ends of a connection do, look by look.
@Suite struct KeepaliveTests {
  /// The two ends of a connection, of which each answers at once, while the line is whole.
  private struct Line {
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let terms: KeepaliveTerms
    var ends = [Keepalive(), Keepalive()]
    var received: [Instant]
    var dataFrames = 0
    var isWhole = true
    /// Whether each end's process runs.
    var runs = [true, true]
    /// When each end's process could look the last time, and when end 0, which looks no more often than it has to, is
    /// to look.
    var lastTurn: [Instant]
    var nextLook = Instant(nanoseconds: 0)
    var hasNewData = false
    /// When each end asked.
    var questions: [[Instant]] = [[], []]
    var deaths: [Instant?] = [nil, nil]

    init(_ terms: KeepaliveTerms) {
      self.terms = terms
      received = [now, now]
      lastTurn = [now, now]
    }

    /// Lets time pass: the looks of the two ends fall in between each other's.
    mutating func pass(_ time: Duration, data: Bool = false) {
      let end = now.advanced(by: time)
      while now < end {
        for side in [0, 1] {
          now = now.advanced(by: terms.checkInterval / 2)
          if data { move() }
          if runs[side], deaths[side] == nil { look(side) }
        }
      }
    }

    /// A frame of data goes from end 0 to end 1.
    mutating func move() {
      dataFrames += 1
      hasNewData = true
      if isWhole, runs[1] { received[1] = now }
    }

    private mutating func look(_ side: Int) {
      let wasAway = terms.isAbsence(now.since(lastTurn[side]))
      lastTurn[side] = now
      if side == 0 {
        guard wasAway || now >= nextLook || hasNewData && ends[0].isQuiet(at: now, terms) else { return }
        hasNewData = false
      }
      defer { if side == 0 { nextLook = ends[0].nextCheck(after: now, received: received[0], terms) } }
      switch ends[side].check(
        at: now, received: received[side], dataFrames: dataFrames, wasAway: wasAway, terms)
      {
      case .fine: break
      case .ask:
        ends[side].hasAsked()
        questions[side].append(now)
        guard isWhole, runs[1 - side] else { return }
        ends[1 - side].wasAsked()
        received[1 - side] = now
        // The answer comes after the question.
        received[side] = now.advanced(by: .milliseconds(1))
      case .dead: deaths[side] = now
      }
    }
  }

  private let terms = KeepaliveTerms(base: .seconds(2), idle: .seconds(30))

  @Test(arguments: [Duration.milliseconds(500), .seconds(2), .seconds(60)])
  func `both ends of a connection in use find a cut line within three keepalives`(base: Duration) throws {
    let terms = KeepaliveTerms(base: base, idle: base * 5)
    for moment in 0..<20 {
      var line = Line(terms)
      line.pass(base * 5 + terms.checkInterval * moment / 7, data: true)
      let cut = line.now
      line.isWhole = false
      line.pass(base * 4, data: true)
      for side in [0, 1] { #expect(try #require(line.deaths[side]).since(cut) <= base * 3) }
    }
  }

  @Test func `no end of a connection in use is given up within one and a half keepalives`() {
    for moment in 0..<20 {
      var line = Line(terms)
      line.pass(.seconds(10) + terms.checkInterval * moment / 7, data: true)
      line.isWhole = false
      line.pass(.seconds(3), data: true)
      line.isWhole = true
      line.received = [line.now, line.now]
      line.pass(.seconds(60))
      #expect(line.deaths == [nil, nil])
    }
  }

  @Test func `on a quiet connection one echo serves both ends, which take turns`() {
    var line = Line(terms)
    line.pass(.seconds(20))
    let asked = (line.questions[0].map { ($0, 0) } + line.questions[1].map { ($0, 1) }).sorted { $0.0 < $1.0 }
    #expect((9...14).contains(asked.count))
    for (earlier, later) in zip(asked, asked.dropFirst()) {
      #expect(earlier.1 != later.1)
      #expect((1.0...2.5).contains(later.0.since(earlier.0).seconds))
    }
  }

  @Test func `questions become rare while no data goes, up to the idle keepalive`() throws {
    var line = Line(terms)
    line.pass(.seconds(600))
    let asked = line.questions.flatMap { $0 }.sorted()
    let gaps = zip(asked, asked.dropFirst()).map { $1.since($0).seconds }
    let start = asked[0]
    for (gap, end) in zip(gaps, asked.dropFirst()) {
      let quiet = end.since(start).seconds
      #expect(gap <= max(2.5, min(30, quiet / 10 + 1)), "after \(quiet) s")
    }
    #expect(try #require(gaps.last) > 28)
    #expect(line.deaths == [nil, nil])
  }

  @Test func `data on a connection that was idle has the other end asked at once`() throws {
    var line = Line(terms)
    line.pass(.seconds(610))
    line.isWhole = false
    line.pass(.seconds(5))
    let use = line.now
    line.pass(.seconds(7), data: true)
    // Whatever the silence before, the first data makes it count.
    for side in [0, 1] { #expect(try #require(line.deaths[side]).since(use) <= .seconds(6)) }
  }

  @Test func `an idle keepalive below the keepalive changes nothing`() {
    #expect(KeepaliveTerms(base: .seconds(2), idle: .seconds(1)) == KeepaliveTerms(base: .seconds(2)))
    var line = Line(KeepaliveTerms(base: .seconds(2)))
    line.pass(.seconds(600))
    #expect(line.questions.flatMap { $0 }.count >= 250)
  }

  @Test func `whoever was stopped for long asks anew before it gives anybody up`() {
    var line = Line(terms)
    line.pass(.seconds(10), data: true)
    // The question goes out, and before the answer is read, the process stops.
    line.isWhole = false
    line.pass(.seconds(2))
    #expect(!line.questions[1].isEmpty || !line.questions[0].isEmpty)
    line.isWhole = true
    line.runs = [false, true]
    line.deaths[1] = nil
    line.ends[1] = Keepalive()
    line.received[1] = line.now
    line.pass(.seconds(2))
    line.runs = [false, false]
    line.pass(.seconds(3600))
    line.runs = [true, true]
    line.pass(.seconds(30))
    #expect(line.deaths == [nil, nil])
  }

  @Test func `after a sleep a dead line is found within two keepalives`() throws {
    var line = Line(terms)
    line.pass(.seconds(100))
    line.runs = [false, false]
    line.isWhole = false
    line.pass(.seconds(3600))
    line.runs = [true, false]
    let woken = line.now
    line.pass(.seconds(10))
    #expect(try #require(line.deaths[0]).since(woken) <= .seconds(4))
  }

  @Test func `a question out of turn has as much patience as it is given`() {
    var keepalive = Keepalive()
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let received = now
    #expect(keepalive.check(at: now, received: received, dataFrames: 0, terms) == .fine)
    keepalive.ask(at: now, .seconds(1))
    now = now.advanced(by: .milliseconds(900))
    #expect(keepalive.check(at: now, received: received, dataFrames: 0, terms) == .fine)
    now = now.advanced(by: .milliseconds(200))
    #expect(keepalive.check(at: now, received: received, dataFrames: 0, terms) == .dead)
    // Any byte is an answer.
    #expect(keepalive.check(at: now, received: now, dataFrames: 0, terms) == .fine)
  }

  @Test func `a question that comes further on its way is waited for anew, and for as long as the path takes`() {
    var keepalive = Keepalive()
    let start = Instant(nanoseconds: 1_000_000_000_000)
    func check(_ seconds: Double) -> Keepalive.Verdict {
      keepalive.check(
        at: start.advanced(by: .milliseconds(Int64(seconds * 1000))), received: start, dataFrames: 0, terms)
    }
    #expect(check(0) == .fine)
    #expect(check(2) == .ask)
    #expect(keepalive.askedAt != nil)
    #expect(check(4.9) == .fine)
    keepalive.startAnew(at: start.advanced(by: .milliseconds(4900)))
    #expect(check(7.8) == .fine)
    #expect(check(8) == .dead)
    keepalive.allow(terms.patience(roundTrip: .seconds(5)))
    #expect(check(14.8) == .fine)
    #expect(check(15) == .dead)
  }

  @Test func `timers are those that were agreed on unless the round trip is long, and then grow with it, to a limit`() {
    for base in [Duration.milliseconds(500), .seconds(2), .seconds(60)] {
      let terms = KeepaliveTerms(base: base)
      #expect(terms.deadline(roundTrip: .zero) == base * 3 && terms.deadline(roundTrip: base / 2) == base * 3)
    }
    #expect(terms.patience(roundTrip: .seconds(10)) == .seconds(20))
    #expect(terms.patience(roundTrip: .seconds(1000)) == .seconds(60))
  }
}
