// Checks that the data path makes nothing per frame or packet, which only optimised code keeps. `make allocations` runs
// it.
//
//     allocations        prints a line a check; ends with 1 if one of them allocates

import CTestSupport
import SystemIO

/// One promise: `work` does so many rounds of what must not allocate, and is run for a while first.
struct Check {
  let sentence: String
  /// For a number of rounds; throws if what it does does not work.
  let work: (Int) throws -> Void
  let rounds: Int

  /// What is made once and kept, such as memory for one more frame that has come in part, may be made late where the
  /// machine is busy; what is made per packet is made every time.
  private static let attempts = 3

  /// How many allocations `rounds` take on this thread.
  func allocations() throws -> UInt {
    try work(rounds / 5)
    var count: UInt = 0
    for _ in 0..<Self.attempts {
      let before = ctest_allocations()
      try work(rounds)
      count = ctest_allocations() - before
      if count == 0 { break }
    }
    return count
  }
}

/// What a check does has not come about.
struct Broken: Error, CustomStringConvertible {
  let what: String
  var description: String { what }

  static func unless(_ condition: Bool, _ what: @autoclosure () -> String) throws {
    guard condition else { throw Broken(what: what()) }
  }
}

private let isOptimised = !_isDebugAssertConfiguration()

@main
enum Allocations {
  static func main() throws {
    guard isOptimised, ctest_counts_allocations() else {
      printError("allocations: built without optimisation, or with a sanitizer; 'make allocations' builds it")
      endProcess(64)
    }
    try checkThatTheCountCounts()
    let checks = try linkChecks() + noiseChecks() + tunChecks() + deviceChecks()
    var failures = 0
    for check in checks {
      let result: String
      do {
        let count = try check.allocations()
        result = count == 0 ? "ok" : "\(count) allocations"
      } catch {
        result = "broken, \(error)"
      }
      try writeOut("\(result): \(check.sentence)")
      if result != "ok" { failures += 1 }
    }
    endProcess(failures == 0 ? 0 : 1)
  }

  private static func checkThatTheCountCounts() throws {
    let before = ctest_allocations()
    let memory = RawBuffer(count: 100)
    memory.bytes[0] = 1
    try Broken.unless(ctest_allocations() > before, "an allocation is not counted")
  }
}
