import SystemIO
import TestSupport
import Testing

@testable import Link

@Suite struct FairQueueTests {
  /// A queue with its store and a clock that the test moves.
  private final class Bench {
    var store: CellStore
    var queue = FairQueue()
    var now: UInt64 = 1_000_000_000
    private let cells: Int

    init(cells: Int = 4000) {
      store = CellStore(cells: cells)
      self.cells = cells
    }

    var freeCells: Int { store.freeCells }
    var usedCells: Int { cells - store.freeCells }
    var lateDrops: Int { queue.lateDrops }
    var overflowDrops: Int { queue.overflowDrops }
    var lastDelay: UInt64 { queue.lastDelay }
    var isEmpty: Bool { queue.isEmpty && queue.bytes == 0 && usedCells == 0 }
    var instant: Instant { Instant(nanoseconds: now) }

    /// The flow and a number are in the frame's first bytes.
    func add(flow: UInt16, number: Int = 0, length: Int = 1400) {
      var bytes = [UInt8](repeating: 0, count: length)
      bytes.withUnsafeMutableBytes {
        $0.storeBytes(of: flow, as: UInt16.self)
        $0.storeBytes(of: UInt32(number), toByteOffset: 4, as: UInt32.self)
      }
      queue.enqueue(bytes.withUnsafeBytes { store.add($0, at: instant) }, flow: flow, in: store)
    }

    func dropFromLongest() -> Bool { queue.dropFromLongest(in: &store) }

    /// The frame that goes next.
    func next() throws -> (flow: UInt16, number: Int, length: Int)? {
      guard let frame = queue.dequeue(at: instant, in: &store) else { return nil }
      defer { store.remove(frame) }
      let pair = try SocketPair()
      var vectors = IOVectors(capacity: 1)
      var room = Int.max
      store.gather(frame, skipping: 0, into: &vectors, room: &room)
      _ = try vectors.send(to: pair.first)
      let head = RawBuffer(count: 8)
      _ = try pair.second.read(into: head.bytes)
      return (
        head.bytes.load(as: UInt16.self), Int(head.bytes.load(fromByteOffset: 4, as: UInt32.self)),
        store.length(of: frame)
      )
    }
  }

  private static let millisecond: UInt64 = 1_000_000

  @Test func `an empty queue has nothing`() throws {
    let bench = Bench()
    #expect(try bench.next() == nil)
    #expect(bench.isEmpty)
    #expect(bench.dropFromLongest() == false)
    #expect(bench.overflowDrops == 0)
  }

  @Test func `frames of one flow keep their order`() throws {
    let bench = Bench()
    for number in 0..<100 { bench.add(flow: 9, number: number) }
    for number in 0..<100 { #expect(try bench.next()?.number == number) }
    #expect(try bench.next() == nil)
    #expect(bench.isEmpty)
  }

  @Test(arguments: [(1400, 1400), (60_000, 1400), (60_000, 300), (8192, 8193)])
  func `two bulk flows share by bytes, whatever their frames' size`(first: Int, second: Int) throws {
    let bench = Bench(cells: 10_000)
    let total = 2_000_000
    for _ in 0..<total / first { bench.add(flow: 1, length: first) }
    for _ in 0..<total / second { bench.add(flow: 2, length: second) }
    var bytes: [UInt16: Int] = [:]
    while bytes.values.reduce(0, +) < total {
      let frame = try #require(try bench.next())
      bytes[frame.flow, default: 0] += frame.length
      // Never further apart than a frame and a turn of each.
      let difference = abs(bytes[1, default: 0] - bytes[2, default: 0])
      #expect(difference <= first + second + 2 * FairQueue.quantum)
    }
  }

  @Test func `a sparse flow goes before the bulk ones`() throws {
    let bench = Bench()
    for number in 0..<300 {
      bench.add(flow: 1, number: number)
      bench.add(flow: 2, number: number)
    }
    for _ in 0..<50 { _ = try bench.next() }
    bench.add(flow: 7, length: 100)
    #expect(try bench.next()?.flow == 7)
    #expect(try bench.next()?.flow != 7)
  }

  @Test func `a flow that comes and goes does not starve the bulk ones`() throws {
    let bench = Bench()
    for number in 0..<200 { bench.add(flow: 1, number: number) }
    var bulk = 0
    // As soon as its frame has gone the flow has the next one, of a whole turn's size.
    bench.add(flow: 7, length: FairQueue.quantum)
    for _ in 0..<200 {
      let frame = try #require(try bench.next())
      if frame.flow == 7 { bench.add(flow: 7, length: FairQueue.quantum) } else { bulk += frame.length }
      if bulk >= 200 * 1400 { break }
    }
    #expect(bulk >= 100 * 1400)
  }

  @Test func `hashes that fall together share a turn and lose nothing`() throws {
    let bench = Bench()
    bench.add(flow: 1, number: 1)
    bench.add(flow: 1 + UInt16(FairQueue.flowCount), number: 2)
    bench.add(flow: .max, number: 3)
    #expect(try [bench.next()?.number, bench.next()?.number, bench.next()?.number] == [1, 2, 3])
  }

  // MARK: CoDel

  @Test func `frames that wait less than the target are never dropped`() throws {
    let bench = Bench()
    for number in 0..<3000 {
      bench.add(flow: 1, number: number)
      bench.add(flow: 1, number: number)
      bench.now += FairQueue.target / 2 - 1
      _ = try bench.next()
      _ = try bench.next()
    }
    #expect(bench.lateDrops == 0)
  }

  @Test func `a burst that is gone within the interval loses nothing`() throws {
    let bench = Bench()
    for number in 0..<90 { bench.add(flow: 1, number: number) }
    for number in 0..<90 {
      bench.now += Self.millisecond
      #expect(try bench.next()?.number == number)
    }
    #expect(bench.lateDrops == 0)
  }

  @Test func `dropping begins at the head when a flow was late for an interval`() throws {
    let bench = Bench()
    for number in 0..<500 { bench.add(flow: 1, number: number) }
    bench.now += FairQueue.target
    // The first late frame starts the interval.
    #expect(try bench.next()?.number == 0)
    bench.now += FairQueue.interval - 1
    #expect(try bench.next()?.number == 1)
    #expect(bench.lateDrops == 0)
    bench.now += 1
    #expect(try bench.next()?.number == 3)
    #expect(bench.lateDrops == 1)
    #expect(bench.lastDelay == FairQueue.target + FairQueue.interval)
    // The next one is due an interval later, and not before.
    bench.now += FairQueue.interval - 1
    #expect(try bench.next()?.number == 4)
    bench.now += 1
    #expect(try bench.next()?.number == 6)
    #expect(bench.lateDrops == 2)
    // Then after interval / √2.
    bench.now += UInt64(Double(FairQueue.interval) / 2.0.squareRoot()) - 1
    #expect(try bench.next()?.number == 7)
    bench.now += 1
    #expect(try bench.next()?.number == 9)
    #expect(bench.lateDrops == 3)
  }

  @Test func `dropping ends when the delay is below the target again`() throws {
    let bench = Bench()
    for number in 0..<20 { bench.add(flow: 1, number: number) }
    bench.now += FairQueue.target
    _ = try bench.next()
    bench.now += FairQueue.interval
    _ = try bench.next()
    #expect(bench.lateDrops == 1)
    while try bench.next() != nil {}
    for number in 0..<500 {
      bench.add(flow: 1, number: number)
      bench.add(flow: 1, number: number)
      bench.now += Self.millisecond
      _ = try bench.next()
      _ = try bench.next()
    }
    #expect(bench.lateDrops == 1)
  }

  @Test func `dropping resumes at the rate that was enough shortly before`() throws {
    let bench = Bench()
    // Late for so long that drops come in quick succession.
    for number in 0..<2000 { bench.add(flow: 1, number: number) }
    bench.now += FairQueue.target
    while bench.lateDrops < 20 {
      bench.now += Self.millisecond
      _ = try bench.next()
    }
    while try bench.next() != nil {}
    let before = bench.lateDrops
    // Shortly after, the same again: the third drop comes well within half an interval of the first.
    for number in 0..<1000 { bench.add(flow: 1, number: number) }
    bench.now += FairQueue.target
    while bench.lateDrops == before {
      bench.now += Self.millisecond
      _ = try bench.next()
    }
    let first = bench.now
    while bench.lateDrops < before + 3 {
      bench.now += Self.millisecond
      _ = try bench.next()
    }
    #expect(bench.now - first < FairQueue.interval)
  }

  @Test func `a flow's last frame is not dropped, however late`() throws {
    let bench = Bench()
    for round in 0..<50 {
      bench.add(flow: 1, number: round)
      bench.now += FairQueue.interval
      #expect(try bench.next()?.number == round)
    }
    #expect(bench.lateDrops == 0)
  }

  @Test func `another flow's large frames do not excuse a late flow of small ones`() throws {
    let bench = Bench(cells: 6000)
    bench.add(flow: 2, length: 128 << 10)
    #expect(try bench.next()?.flow == 2)
    for number in 0..<400 { bench.add(flow: 1, number: number, length: 200) }
    bench.now += FairQueue.target
    for _ in 0..<100 {
      bench.now += 2 * Self.millisecond
      _ = try bench.next()
    }
    #expect(bench.lateDrops > 0)
  }

  @Test func `a late flow does not cost a punctual one its frames`() throws {
    let bench = Bench()
    var punctual = 0
    for number in 0..<2000 { bench.add(flow: 1, number: number) }
    for round in 0..<400 {
      bench.add(flow: 2, number: round, length: 100)
      bench.now += Self.millisecond
      for _ in 0..<2 where try bench.next()?.flow == 2 { punctual += 1 }
    }
    #expect(punctual == 400)
    #expect(bench.lateDrops > 0)
  }

  @Test func `a clock read before a frame came makes it no older`() throws {
    let bench = Bench()
    for number in 0..<10 { bench.add(flow: 1, number: number) }
    bench.now -= 1
    for number in 0..<10 { #expect(try bench.next()?.number == number) }
    #expect(bench.lastDelay == 0)
  }

  // MARK: Overflow

  @Test func `overflow drops the oldest frame of the longest flow`() throws {
    let bench = Bench()
    for number in 0..<10 { bench.add(flow: 1, number: number) }
    for number in 0..<30 { bench.add(flow: 2, number: 100 + number) }
    for _ in 0..<20 { #expect(bench.dropFromLongest()) }
    #expect(bench.overflowDrops == 20)
    var left: [UInt16: [Int]] = [:]
    while let frame = try bench.next() { left[frame.flow, default: []].append(frame.number) }
    #expect(left == [1: Array(0..<10), 2: Array(120..<130)])
    #expect(bench.usedCells == 0)
  }

  @Test func `overflow falls on the flow that takes most memory, not most bytes`() throws {
    let bench = Bench()
    for number in 0..<5 { bench.add(flow: 1, number: number, length: 2000) }
    for number in 0..<100 { bench.add(flow: 2, number: number, length: 20) }
    for _ in 0..<50 { #expect(bench.dropFromLongest()) }
    var left: [UInt16: Int] = [:]
    while let frame = try bench.next() { left[frame.flow, default: 0] += 1 }
    #expect(left == [1: 5, 2: 50])
  }

  @Test func `a queue can be dropped to the last frame and used again`() throws {
    let bench = Bench()
    for flow: UInt16 in 0..<20 { bench.add(flow: flow) }
    for _ in 0..<20 { #expect(bench.dropFromLongest()) }
    #expect(!bench.dropFromLongest())
    #expect(bench.isEmpty)
    #expect(try bench.next() == nil)
    bench.add(flow: 3, number: 1)
    #expect(try bench.next()?.number == 1)
  }

  /// Random steps: what went in comes out, in its flow's order, or is counted as dropped.
  @Test func `every frame is delivered or counted`() throws {
    let bench = Bench(cells: 60)
    var random = FixedRandom(seed: 11)
    var numbers: [UInt16: Int] = [:]
    var lastSeen: [UInt16: Int] = [:]
    var added = 0
    var delivered = 0
    for _ in 0..<15_000 {
      bench.now += UInt64.random(in: 0..<3_000_000, using: &random)
      if Int.random(in: 0..<5, using: &random) < 3 {
        let flow = UInt16.random(in: 0..<8, using: &random)
        let length = Int.random(in: 12...20_000, using: &random)
        while bench.freeCells < CellStore.cells(for: length) {
          #expect(bench.dropFromLongest())
        }
        numbers[flow, default: 0] += 1
        added += 1
        bench.add(flow: flow, number: numbers[flow]!, length: length)
      } else if let frame = try bench.next() {
        #expect(frame.number > lastSeen[frame.flow, default: 0])
        lastSeen[frame.flow] = frame.number
        delivered += 1
      }
    }
    while try bench.next() != nil { delivered += 1 }
    #expect(added == delivered + bench.lateDrops + bench.overflowDrops)
    #expect(bench.isEmpty)
    #expect(bench.lateDrops > 0 && bench.overflowDrops > 0)
  }
}
