/// A timer of the loop that made it.
public struct Timer: Hashable, Sendable {
  fileprivate let number: UInt64
}

/// Timers in the order of their deadlines, and those of one deadline in the order of their addition: a binary heap.
/// Cancelled entries leave it when they reach the top.
struct TimerQueue {
  private var heap: [(deadline: Instant, number: UInt64)] = []
  private var bodies: [UInt64: () -> Void] = [:]
  private var nextNumber: UInt64 = 0

  var nextDeadline: Instant? { heap.first?.deadline }

  mutating func add(at deadline: Instant, _ body: @escaping () -> Void) -> Timer {
    let number = nextNumber
    nextNumber += 1
    bodies[number] = body
    heap.append((deadline, number))
    siftUp(from: heap.count - 1)
    return Timer(number: number)
  }

  /// Returns the timer's body, if it has not run, for the caller to release.
  mutating func cancel(_ timer: Timer) -> (() -> Void)? {
    let body = bodies.removeValue(forKey: timer.number)
    // Cancelled entries far in the future must not pile up.
    if heap.count > 64, heap.count > 4 * bodies.count {
      heap.removeAll { bodies[$0.number] == nil }
      for index in heap.indices.reversed() { siftDown(from: index) }
    }
    dropCancelled()
    return body
  }

  /// Removes the first timer whose deadline is not after `now`. The caller runs the body, which may add and cancel
  /// timers.
  mutating func popDue(until now: Instant) -> (() -> Void)? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    removeFirst()
    dropCancelled()
    return bodies.removeValue(forKey: first.number)
  }

  /// Makes sure that the timer at the top will fire.
  private mutating func dropCancelled() {
    while let first = heap.first, bodies[first.number] == nil { removeFirst() }
  }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown(from: 0)
  }

  private mutating func siftUp(from start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard comesBefore(child, parent) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(from start: Int) {
    var parent = start
    while true {
      var least = parent
      let left = 2 * parent + 1
      if left < heap.count, comesBefore(left, least) { least = left }
      if left + 1 < heap.count, comesBefore(left + 1, least) { least = left + 1 }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func comesBefore(_ one: Int, _ other: Int) -> Bool {
    (heap[one].deadline, heap[one].number) < (heap[other].deadline, heap[other].number)
  }
}
