import SystemIO
import TestSupport
import Testing

@testable import Link

@Suite struct CellStoreTests {
  private static func contents(_ length: Int, _ seed: UInt64) -> [UInt8] {
    var random = FixedRandom(seed: seed)
    return (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  /// What `gather` finds of a frame.
  private static func read(
    _ frame: CellStore.Cell, skipping skipped: Int = 0, room: Int = .max, of store: borrowing CellStore
  ) throws -> [UInt8] {
    let pair = try SocketPair()
    var vectors = IOVectors(capacity: 128)
    var room = room
    store.gather(frame, skipping: skipped, into: &vectors, room: &room)
    guard let sent = try vectors.send(to: pair.first) else { return [] }
    let buffer = RawBuffer(count: max(1, sent))
    var filled = 0
    while filled < sent {
      filled += try pair.second.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[filled...])) ?? 0
    }
    return Array(buffer.bytes[..<sent])
  }

  @Test(arguments: [1, 12, 2031, 2032, 2033, 4079, 4080, 4081, 100_000])
  func `a frame of any length reads back whole`(length: Int) throws {
    var store = CellStore(cells: 60)
    let bytes = Self.contents(length, 1)
    let frame = bytes.withUnsafeBytes { store.add($0, at: Instant(nanoseconds: 42)) }
    #expect(store.freeCells == 60 - CellStore.cells(for: length))
    #expect(store.length(of: frame) == length)
    #expect(store.time(of: frame) == Instant(nanoseconds: 42))
    #expect(try Self.read(frame, of: store) == bytes)
    for skipped in [1, 2031, 2032, 2033, 4080, 4081, 50_000] where skipped < length {
      #expect(try Self.read(frame, skipping: skipped, of: store) == Array(bytes[skipped...]))
      #expect(try Self.read(frame, skipping: skipped, room: 2100, of: store) == Array(bytes[skipped...].prefix(2100)))
    }
    store.remove(frame)
    #expect(store.freeCells == 60)
  }

  @Test func `a list that is too short takes the beginning`() throws {
    var store = CellStore(cells: 10)
    let bytes = Self.contents(10_000, 2)
    let frame = bytes.withUnsafeBytes { store.add($0, at: Instant(nanoseconds: 0)) }
    let pair = try SocketPair()
    var vectors = IOVectors(capacity: 2)
    var room = 5000
    store.gather(frame, skipping: 2000, into: &vectors, room: &room)
    // The rest of the first cell and all of the second.
    let sent = try vectors.send(to: pair.first)
    #expect(sent == 32 + 2048)
    #expect(room == 5000 - 32 - 2048)
  }

  /// The store against a plain dictionary, over many random steps.
  @Test func `no cell is lost and no frame is changed, whatever is added and removed`() throws {
    struct Model {
      let frame: CellStore.Cell
      let length: Int
      let seed: UInt64
      let time: UInt64
    }
    let total = 300
    var store = CellStore(cells: total)
    var random = FixedRandom(seed: 3)
    var models: [Model] = []
    var additions = 0
    for step in 0..<20_000 {
      let seed = UInt64(step)
      let length =
        Bool.random(using: &random)
        ? Int.random(in: 1...100, using: &random) : Int.random(in: 1...30_000, using: &random)
      if Bool.random(using: &random), CellStore.cells(for: length) <= store.freeCells {
        // Contents that depend on the seed, without the cost of random ones.
        let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: seed), count: length)
        let frame = bytes.withUnsafeBytes { store.add($0, at: Instant(nanoseconds: seed)) }
        models.append(Model(frame: frame, length: length, seed: seed, time: seed))
        additions += 1
      } else if let index = models.indices.randomElement(using: &random) {
        let model = models.remove(at: index)
        #expect(store.length(of: model.frame) == model.length)
        #expect(store.time(of: model.frame).nanoseconds == model.time)
        if step % 50 == 0 {
          let expected = [UInt8](repeating: UInt8(truncatingIfNeeded: model.seed), count: model.length)
          #expect(try Self.read(model.frame, of: store) == expected)
        }
        store.remove(model.frame)
      }
      let used = models.reduce(0) { $0 + CellStore.cells(for: $1.length) }
      #expect(store.freeCells == total - used)
    }
    for model in models { store.remove(model.frame) }
    #expect(store.freeCells == total)
    #expect(additions > 5000)
  }

  @Test func `a list keeps its order and knows its size`() {
    var store = CellStore(cells: 100)
    var list = FrameList()
    #expect(list.isEmpty)
    for length in 1...20 {
      let bytes = [UInt8](repeating: 0, count: length * 300)
      list.append(bytes.withUnsafeBytes { store.add($0, at: Instant(nanoseconds: 0)) }, in: store)
    }
    #expect(list.bytes == 300 * 210)
    #expect(list.cells == 100 - store.freeCells)
    for length in 1...20 {
      let frame = list.removeFirst(in: store)
      #expect(store.length(of: frame) == length * 300)
      store.remove(frame)
    }
    #expect(list.isEmpty && list.bytes == 0 && list.cells == 0)
    #expect(store.freeCells == 100)
  }
}
