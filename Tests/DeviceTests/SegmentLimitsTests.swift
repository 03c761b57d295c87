import SystemIO
import Testing

@testable import Device

@Suite struct SegmentLimitsTests {
  private let relay = "192.0.2.1:3334"
  private let now = Instant(nanoseconds: 1_000_000_000_000)

  @Test func `nothing is doubted or limited without a reason`() {
    var limits = SegmentLimits()
    #expect(limits.limit(for: relay, at: now) == nil)
    #expect(!limits.isInDoubt(relay))
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(nil))
  }

  @Test func `large packets that get no answer have the segments lowered until they do`() {
    var limits = SegmentLimits()
    limits.doubt(relay, segment: 1448, isSure: true, at: now)
    #expect(limits.isInDoubt(relay))
    #expect(limits.limit(for: relay, at: now) == nil, "first it is shown at full size")
    #expect(limits.noteUnanswered(relay, segment: 1448, isLost: true) == true)
    #expect(limits.limit(for: relay, at: now) == 1200)
    #expect(limits.noteUnanswered(relay, segment: 1188, isLost: true) == true)
    #expect(limits.limit(for: relay, at: now) == 536)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(536))
    #expect(!limits.isInDoubt(relay))
    #expect(limits.limit(for: relay, at: now.advanced(by: .seconds(60))) == 536)
  }

  @Test func `a link of large packets is tried at 1500 bytes first`() {
    var limits = SegmentLimits()
    limits.doubt(relay, segment: 8948, isSure: true, at: now)
    #expect(limits.noteUnanswered(relay, segment: 8948, isLost: true) == true)
    #expect(limits.limit(for: relay, at: now) == 1400)
    #expect(limits.noteUnanswered(relay, segment: 1388, isLost: true) == true)
    #expect(limits.limit(for: relay, at: now) == 1200)
  }

  @Test func `plain loss leaves the size as it is`() {
    var limits = SegmentLimits()
    for minute in 0..<60 {
      let now = now.advanced(by: .seconds(Int64(minute) * 120))
      limits.doubt(relay, segment: 1448, isSure: true, at: now)
      #expect(limits.noteAnswered(relay, isBothWays: true, at: now.advanced(by: .seconds(1))) == .settled(nil))
    }
    #expect(limits.limit(for: relay, at: now) == nil)
  }

  @Test func `a relay that was stuck for a moment keeps its large packets`() {
    var limits = SegmentLimits()
    limits.doubt(relay, segment: 1448, isSure: false, at: now)
    #expect(limits.noteUnanswered(relay, segment: 1448, isLost: false) == true)
    // Data flows again just now.
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .again)
    #expect(limits.isInDoubt(relay))
    #expect(limits.limit(for: relay, at: now) == nil)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(nil))
    // The same, but the large ones fail again.
    limits.doubt(relay, segment: 1448, isSure: false, at: now.advanced(by: .seconds(100)))
    #expect(limits.noteUnanswered(relay, segment: 1448, isLost: false) == true)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .again)
    #expect(limits.noteUnanswered(relay, segment: 1448, isLost: false) == true)
    #expect(limits.limit(for: relay, at: now) == 1200)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(1200))
  }

  @Test func `data that is stuck again at once has the segments lowered for good the second time`() {
    var limits = SegmentLimits()
    limits.doubt(relay, segment: 1448, isSure: true, at: now)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(nil))
    for second in [20, 40] {
      let now = now.advanced(by: .seconds(Int64(second)))
      limits.doubt(relay, segment: 1448, isSure: true, at: now)
      #expect(limits.limit(for: relay, at: now) == 1200)
      #expect(limits.isInDoubt(relay))
      guard second == 20 else { break }
      #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .again)
      #expect(limits.limit(for: relay, at: now) == nil)
      #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(nil))
    }
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(1200))
    // A relay that sends no large packets back leaves its own direction open.
    var others = SegmentLimits()
    others.doubt(relay, segment: 1448, isSure: false, at: now)
    #expect(others.noteAnswered(relay, isBothWays: false, at: now) == .settled(nil))
    others.doubt(relay, segment: 1448, isSure: false, at: now.advanced(by: .seconds(20)))
    #expect(others.limit(for: relay, at: now) == 1200)
  }

  @Test func `an outage soon after a limit was found does not lower it further`() {
    var limits = SegmentLimits()
    limits.doubt(relay, segment: 1448, isSure: true, at: now)
    #expect(limits.noteUnanswered(relay, segment: 1448, isLost: true) == true)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(1200))
    let later = now.advanced(by: .seconds(30))
    limits.doubt(relay, segment: 1188, isSure: true, at: later)
    #expect(limits.limit(for: relay, at: later) == 536)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: later) == .again)
    #expect(limits.limit(for: relay, at: later) == 1200)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: later) == .settled(1200))
    // The same, but 1200 fails again.
    let last = later.advanced(by: .seconds(100))
    limits.doubt(relay, segment: 1188, isSure: true, at: last)
    #expect(limits.noteUnanswered(relay, segment: 1188, isLost: false) == true)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: last) == .again)
    #expect(limits.limit(for: relay, at: last) == 1200)
    #expect(limits.noteUnanswered(relay, segment: 1188, isLost: false) == true)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: last) == .settled(536))
  }

  @Test func `a relay that answers no size is not limited`() {
    var limits = SegmentLimits()
    limits.doubt(relay, segment: 1448, isSure: false, at: now)
    for segment in [1448, 1188] { #expect(limits.noteUnanswered(relay, segment: segment, isLost: false) == true) }
    #expect(limits.noteUnanswered(relay, segment: 524, isLost: false) == false)
    #expect(limits.limit(for: relay, at: now) == nil)
    #expect(!limits.isInDoubt(relay))
  }

  @Test func `a limit is doubted after an hour`() {
    var limits = SegmentLimits()
    limits.doubt(relay, segment: 1448, isSure: true, at: now)
    #expect(limits.noteUnanswered(relay, segment: 1448, isLost: true) == true)
    #expect(limits.noteAnswered(relay, isBothWays: true, at: now) == .settled(1200))
    #expect(limits.limit(for: relay, at: now.advanced(by: .seconds(3599))) == 1200)
    #expect(limits.limit(for: relay, at: now.advanced(by: .seconds(3601))) == nil)
    #expect(limits.isInDoubt(relay))
  }
}
