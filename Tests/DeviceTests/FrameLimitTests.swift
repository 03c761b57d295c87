import SystemIO
import Testing

@testable import Device

@Suite struct FrameLimitTests {
  /// Sends at a steady rate for a while, a packet each millisecond.
  private static func send(
    _ limit: inout FrameLimit, bytesPerSecond: Int, from start: Duration, for time: Duration
  ) {
    for step in 0..<Int(time / .milliseconds(1)) {
      limit.note(bytesPerSecond / 1000, at: instant(start + .milliseconds(step)))
    }
  }

  private static func instant(_ time: Duration) -> Instant { Instant(nanoseconds: 1_000_000_000).advanced(by: time) }

  @Test func `a peer that gets little gets short frames, and one that gets much long ones`() {
    var limit = FrameLimit()
    #expect(limit.bytes == 4096)
    Self.send(&limit, bytesPerSecond: 2_500_000, from: .zero, for: .milliseconds(200))
    // The bytes of 4 ms.
    #expect((9_000...11_000).contains(limit.bytes))
    Self.send(&limit, bytesPerSecond: 1_000_000_000, from: .milliseconds(200), for: .milliseconds(100))
    #expect(limit.bytes == 128 << 10)
    Self.send(&limit, bytesPerSecond: 2_500_000, from: .milliseconds(300), for: .milliseconds(200))
    #expect((9_000...11_000).contains(limit.bytes))
  }

  @Test func `a short pause shortens nothing, and a long one does`() {
    var limit = FrameLimit()
    Self.send(&limit, bytesPerSecond: 1_000_000_000, from: .zero, for: .milliseconds(100))
    limit.note(1000, at: Self.instant(.milliseconds(130)))
    #expect(limit.bytes == 128 << 10)
    limit.note(1000, at: Self.instant(.seconds(5)))
    limit.note(1000, at: Self.instant(.seconds(6)))
    #expect(limit.bytes == 4096)
  }
}
