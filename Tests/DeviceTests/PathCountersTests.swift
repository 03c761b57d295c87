import Noise
import Testing

@testable import Device

/// Each path of a session counts for itself, and no counter comes twice.
@Suite struct PathCountersTests {
  @Test func `each path counts from zero`() {
    let counters = Sealing()
    for number in 0..<3 as Range<UInt64> { #expect(counters.next(on: 0) == number) }
    for number in 0..<3 as Range<UInt64> { #expect(counters.next(on: 5) == number) }
    #expect(counters.next(on: 0) == 3)
    #expect(counters.next(on: 7) == 0)
    #expect(counters.next(on: 5) == 3)
  }

  @Test func `no nonce repeats however paths come, go and return`() {
    var random = SystemRandomNumberGenerator()
    var counters = PathCounters()
    var seen: Set<[UInt64]> = []
    var newest: UInt32 = 1
    for _ in 0..<10_000 {
      if Int.random(in: 0..<20, using: &random) == 0 { newest += .random(in: 1...3) }
      let lowest = newest > 3 ? newest - 3 : 1
      for path in [0, .random(in: lowest...newest, using: &random), newest] as [UInt32] {
        let nonce = [UInt64(path), counters.next(on: path)]
        #expect(seen.insert(nonce).inserted)
      }
    }
  }

  @Test func `a path that is forgotten is never sealed for again`() async {
    await #expect(processExitsWith: .failure) {
      var counters = PathCounters()
      for path in 1...UInt32(PathCounters.kept) + 1 { _ = counters.next(on: path) }
      _ = counters.next(on: 1)
    }
  }

  @Test func `each path has a replay window of its own`() {
    let windows = Opening()
    for path in [0, 4, 9] as [UInt32] {
      #expect(windows.accept(0, on: path) && windows.accept(2, on: path) && windows.accept(1, on: path))
      #expect(!windows.mayAccept(1, on: path) && !windows.accept(1, on: path))
    }
    #expect(windows.mayAccept(3, on: 4) && windows.mayAccept(0, on: 5))
    #expect(!windows.mayAccept(.max, on: 9) && !windows.mayAccept(.max, on: 10) && !windows.accept(.max, on: 10))
  }

  @Test func `only the latest paths are accepted`() {
    let windows = Opening()
    let count = UInt32(PathCounters.kept)
    for path in 1...count { #expect(windows.accept(0, on: path)) }
    #expect(windows.accept(0, on: count + 1))
    #expect(!windows.mayAccept(5, on: 1) && !windows.accept(5, on: 1))
    #expect(windows.accept(5, on: 2) && windows.accept(5, on: 0))
    // The numbers between are those of paths that have carried nothing yet.
    #expect(windows.accept(0, on: count + 10))
    #expect(windows.accept(0, on: count + 5))
    #expect(!windows.accept(0, on: 2))
  }
}

/// What changes with a call cannot be called within an expectation, unless it is an object.
private final class Sealing {
  private var counters = PathCounters()

  func next(on path: UInt32) -> UInt64 { counters.next(on: path) }
}

private final class Opening {
  private var windows = PathWindows()

  func mayAccept(_ counter: UInt64, on path: UInt32) -> Bool { windows.mayAccept(counter, on: path) }
  func accept(_ counter: UInt64, on path: UInt32) -> Bool { windows.accept(counter, on: path) }
}
