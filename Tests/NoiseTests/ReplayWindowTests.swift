import Noise
import Testing
import Wire

@Suite struct ReplayWindowTests {
  /// A window that has accepted these.
  private func window(after counters: UInt64...) -> ReplayWindow {
    var window = ReplayWindow()
    for counter in counters { #expect(accepts(&window, counter)) }
    return window
  }

  @Test func `counters in order are accepted, once`() {
    var window = ReplayWindow()
    for counter in 0..<10000 as Range<UInt64> {
      #expect(window.mayAccept(counter))
      #expect(accepts(&window, counter))
      #expect(!window.mayAccept(counter))
      #expect(!accepts(&window, counter))
    }
  }

  @Test func `counters out of order are accepted, once`() {
    var window = window(after: 2047)
    for counter in (0..<2047 as Range<UInt64>).reversed() {
      #expect(accepts(&window, counter))
      #expect(!accepts(&window, counter))
    }
  }

  @Test func `asking changes nothing`() {
    let window = window(after: 100)
    #expect(window.mayAccept(90) && window.mayAccept(90))
    #expect(window.mayAccept(5000) && window.mayAccept(90))
  }

  @Test(arguments: [2047, 2048, 2111, 2112, 5000, 1 << 32, 1 << 58, UInt64.max - 1])
  func `what is 2048 older than the newest is too old, and one less is not`(newest: UInt64) {
    var window = window(after: newest)
    #expect(accepts(&window, newest - 2047))
    if newest >= 2048 { #expect(!accepts(&window, newest - 2048)) }
    if newest >= 4096 { #expect(!accepts(&window, newest - 4096)) }
    #expect(!accepts(&window, newest))
  }

  @Test(arguments: [63, 64, 65, 127, 128, 2047, 2048, 2049, 2111, 2112, 2113, 4224])
  func `at any step forward nothing is forgotten and nothing made up`(step: UInt64) {
    for start in [0, 1, 63, 64, 2047, 2048, 4223] as [UInt64] {
      var window = window(after: start)
      #expect(accepts(&window, start + step))
      for counter in start...start + step {
        let isNew = counter != start && counter != start + step && counter + 2048 > start + step
        #expect(window.mayAccept(counter) == isNew, "\(counter) after \(start) and \(start + step)")
      }
    }
  }

  @Test func `a jump beyond the window forgets what was before`() {
    var window = window(after: 1, 2, 3, 1_000_000)
    for counter in 1_000_000 - 2047..<1_000_000 as Range<UInt64> { #expect(accepts(&window, counter)) }
    for counter in 0...10 as ClosedRange<UInt64> { #expect(!accepts(&window, counter)) }
  }

  @Test func `up to the end of the counters it goes on, and the reserved one is refused`() {
    var window = window(after: .max - 5000)
    for counter in UInt64.max - 4000..<UInt64.max { #expect(accepts(&window, counter)) }
    #expect(!window.mayAccept(.max))
    #expect(!accepts(&window, .max))
    #expect(!accepts(&window, .max - 1))
    #expect(!accepts(&window, 0))
  }

  @Test func `it decides as a plain set of counters would`() {
    var generator = SystemRandomNumberGenerator()
    var window = ReplayWindow()
    var seen: Set<UInt64> = []
    var highest: UInt64 = 0
    for _ in 0..<20000 {
      let forward = UInt64.random(in: 0..<(Bool.random() ? 80 : 3000), using: &generator)
      let counter = highest + forward - min(highest + forward, UInt64.random(in: 0..<4000, using: &generator))
      let expected = counter + 2048 > highest && !seen.contains(counter)
      #expect(accepts(&window, counter) == expected)
      if expected { seen.insert(counter) }
      highest = max(highest, counter)
    }
  }
}

/// `accept`, which `#expect` cannot call itself because it changes the window.
private func accepts(_ window: inout ReplayWindow, _ counter: UInt64) -> Bool {
  window.accept(counter)
}
