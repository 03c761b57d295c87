internal import SystemIO

/// FQ-CoDel over frames (RFC 8290): which frame of which flow is sent next, and which are dropped because they waited
/// too long (RFC 8289). The frames are in the `CellStore` that every call receives.
///
/// Flows that send little precede bulk flows, which take turns by bytes. A flow whose frames wait longer than `target`
/// for a whole `interval` loses some at its head, which its sender notices first.
struct FairQueue: ~Copyable {
  // In nanoseconds.
  static let target: UInt64 = 5_000_000
  static let interval: UInt64 = 100_000_000
  /// How many bytes a flow may send in one turn.
  static let quantum = 8 << 10
  static let flowCount = 256
  /// CoDel ignores a flow whose waiting frames fit one packet of an ordinary link.
  private static let smallestMaximum = 1500

  private struct Flow {
    var frames = FrameList()
    var credit = 0
    var next: Int16 = -1
    var isListed = false
    /// The longest frame since the flow was last listed. CoDel ignores a flow with no more bytes than that.
    var largestFrame = 0
    // CoDel's state, RFC 8289 section 5.3.
    var firstAbove: UInt64 = 0
    var dropNext: UInt64 = 0
    var dropCount: UInt32 = 0
    var lastDropCount: UInt32 = 0
    var isDropping = false
  }

  /// Flows in the order of their turns.
  private struct FlowList {
    var first: Int16 = -1
    var last: Int16 = -1
  }

  private let flows: UnsafeMutableBufferPointer<Flow>
  private var fresh = FlowList()
  private var seasoned = FlowList()
  private(set) var bytes = 0

  /// Frames dropped because they waited too long, and because the queue was full.
  private(set) var lateDrops = 0
  private(set) var overflowDrops = 0
  /// How long the last frame waited before it was sent, in nanoseconds.
  private(set) var lastDelay: UInt64 = 0

  init() {
    flows = .allocate(capacity: Self.flowCount)
    flows.initialize(repeating: Flow())
  }

  deinit {
    flows.deallocate()
  }

  var isEmpty: Bool { bytes == 0 }

  mutating func enqueue(_ frame: CellStore.Cell, flow: UInt16, in store: borrowing CellStore) {
    let index = Int16(Int(flow) % Self.flowCount)
    let length = store.length(of: frame)
    bytes += length
    flows[Int(index)].frames.append(frame, in: store)
    if !flows[Int(index)].isListed {
      flows[Int(index)].isListed = true
      flows[Int(index)].credit = Self.quantum
      flows[Int(index)].largestFrame = Self.smallestMaximum
      Self.append(index, to: &fresh, flows)
    }
    flows[Int(index)].largestFrame = max(flows[Int(index)].largestFrame, length)
  }

  /// The frame whose turn it is. It is removed from its list, but keeps its cells.
  mutating func dequeue(at now: Instant, in store: inout CellStore) -> CellStore.Cell? {
    while true {
      let isFresh = fresh.first >= 0
      let index = isFresh ? fresh.first : seasoned.first
      guard index >= 0 else { return nil }
      if flows[Int(index)].credit <= 0 {
        flows[Int(index)].credit += Self.quantum
        moveFirst(ofFresh: isFresh, toSeasoned: true)
        continue
      }
      if let frame = dequeue(from: Int(index), at: now.nanoseconds, in: &store) {
        flows[Int(index)].credit -= store.length(of: frame)
        lastDelay = Self.age(of: frame, at: now.nanoseconds, in: store)
        return frame
      }
      // An empty fresh flow waits one round among the seasoned ones; otherwise it could come back fresh at once.
      moveFirst(ofFresh: isFresh, toSeasoned: isFresh)
    }
  }

  /// Drops the oldest frame of the flow that takes the most memory. False: nothing waits.
  mutating func dropFromLongest(in store: inout CellStore) -> Bool {
    var longest = 0
    for index in 1..<Self.flowCount where flows[index].frames.cells > flows[longest].frames.cells { longest = index }
    guard !flows[longest].frames.isEmpty else { return false }
    store.remove(pop(longest, in: store))
    overflowDrops += 1
    return true
  }

  /// Counts a frame that found no room at all.
  mutating func countOverflow() {
    overflowDrops += 1
  }

  // MARK: CoDel

  private mutating func dequeue(from flow: Int, at now: UInt64, in store: inout CellStore) -> CellStore.Cell? {
    var (frame, isLate) = popJudged(flow, at: now, in: store)
    if flows[flow].isDropping {
      if !isLate { flows[flow].isDropping = false }
      while flows[flow].isDropping, now >= flows[flow].dropNext, let late = frame {
        drop(late, in: &store)
        flows[flow].dropCount += 1
        (frame, isLate) = popJudged(flow, at: now, in: store)
        if isLate {
          flows[flow].dropNext = Self.nextDrop(after: flows[flow].dropNext, count: flows[flow].dropCount)
        } else {
          flows[flow].isDropping = false
        }
      }
    } else if isLate, let late = frame {
      drop(late, in: &store)
      (frame, isLate) = popJudged(flow, at: now, in: store)
      flows[flow].isDropping = true
      // Shortly after the last time, dropping continues at nearly the rate that was enough then.
      let recent = flows[flow].dropCount - flows[flow].lastDropCount
      let wasShortAgo = now < flows[flow].dropNext + 16 * Self.interval
      flows[flow].dropCount = recent > 1 && wasShortAgo ? recent : 1
      flows[flow].dropNext = Self.nextDrop(after: now, count: flows[flow].dropCount)
      flows[flow].lastDropCount = flows[flow].dropCount
    }
    return frame
  }

  /// Takes a flow's first frame. `isLate`: the flow has been late for a whole interval.
  private mutating func popJudged(
    _ flow: Int, at now: UInt64, in store: borrowing CellStore
  ) -> (frame: CellStore.Cell?, isLate: Bool) {
    guard !flows[flow].frames.isEmpty else {
      flows[flow].firstAbove = 0
      return (nil, false)
    }
    let frame = pop(flow, in: store)
    if Self.age(of: frame, at: now, in: store) < Self.target
      || flows[flow].frames.bytes <= flows[flow].largestFrame
    {
      flows[flow].firstAbove = 0
    } else if flows[flow].firstAbove == 0 {
      flows[flow].firstAbove = now + Self.interval
    } else if now >= flows[flow].firstAbove {
      return (frame, true)
    }
    return (frame, false)
  }

  private mutating func pop(_ flow: Int, in store: borrowing CellStore) -> CellStore.Cell {
    let frame = flows[flow].frames.removeFirst(in: store)
    bytes -= store.length(of: frame)
    return frame
  }

  private mutating func drop(_ frame: CellStore.Cell, in store: inout CellStore) {
    store.remove(frame)
    lateDrops += 1
  }

  /// How long a frame has waited; 0 if it came after `now`.
  private static func age(of frame: CellStore.Cell, at now: UInt64, in store: borrowing CellStore) -> UInt64 {
    let (age, isNegative) = now.subtractingReportingOverflow(store.time(of: frame).nanoseconds)
    return isNegative ? 0 : age
  }

  private static func nextDrop(after time: UInt64, count: UInt32) -> UInt64 {
    time + UInt64(Double(interval) / Double(count).squareRoot())
  }

  // MARK: Turns

  /// Removes the first flow from its list, and appends it to the seasoned ones if `stays`.
  private mutating func moveFirst(ofFresh isFresh: Bool, toSeasoned stays: Bool) {
    let flow = isFresh ? Self.removeFirst(of: &fresh, flows) : Self.removeFirst(of: &seasoned, flows)
    if stays { Self.append(flow, to: &seasoned, flows) } else { flows[Int(flow)].isListed = false }
  }

  private static func append(_ flow: Int16, to list: inout FlowList, _ flows: UnsafeMutableBufferPointer<Flow>) {
    flows[Int(flow)].next = -1
    if list.last >= 0 { flows[Int(list.last)].next = flow } else { list.first = flow }
    list.last = flow
  }

  private static func removeFirst(of list: inout FlowList, _ flows: UnsafeMutableBufferPointer<Flow>) -> Int16 {
    let flow = list.first
    list.first = flows[Int(flow)].next
    if list.first < 0 { list.last = -1 }
    return flow
  }
}
