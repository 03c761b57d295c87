internal import SystemIO

/// The memory of one send queue: frames in chains of 2 KiB cells, in one allocation that is touched only as far as it
/// is used.
///
/// The first cell identifies a frame, and begins with what the queue must know of it:
///
///     0              4            8                16
///     | next frame 4 | length 4   | queued at, ns 8 | the frame's first bytes …
struct CellStore: ~Copyable {
  typealias Cell = UInt32

  /// Ends every chain.
  static let none = Cell.max
  static let cellSize = 2048
  private static let headSize = 16

  private let memory: RawBuffer
  private let links: UnsafeMutableBufferPointer<Cell>
  private var freed = CellStore.none
  private var untouched: Cell = 0
  private(set) var freeCells: Int

  var usedCells: Int { links.count - freeCells }

  init(cells: Int) {
    memory = RawBuffer(count: cells * Self.cellSize)
    links = .allocate(capacity: cells)
    freeCells = cells
  }

  deinit {
    links.deallocate()
  }

  static func cells(for length: Int) -> Int {
    (length + headSize + cellSize - 1) / cellSize
  }

  /// Copies a frame in. Precondition: there are enough free cells.
  mutating func add(_ bytes: UnsafeRawBufferPointer, at time: Instant) -> Cell {
    precondition(Self.cells(for: bytes.count) <= freeCells)
    let first = takeCell()
    let head = pointer(first)
    head.storeBytes(of: Self.none, as: Cell.self)
    head.storeBytes(of: UInt32(bytes.count), toByteOffset: 4, as: UInt32.self)
    head.storeBytes(of: time.nanoseconds, toByteOffset: 8, as: UInt64.self)
    var cell = first
    var room = head + Self.headSize
    var roomSize = Self.cellSize - Self.headSize
    var copied = 0
    while true {
      let step = min(roomSize, bytes.count - copied)
      room.copyMemory(from: bytes.baseAddress! + copied, byteCount: step)
      copied += step
      guard copied < bytes.count else { break }
      let next = takeCell()
      links[Int(cell)] = next
      cell = next
      room = pointer(cell)
      roomSize = Self.cellSize
    }
    links[Int(cell)] = Self.none
    return first
  }

  mutating func remove(_ frame: Cell) {
    var cell = frame
    while cell != Self.none {
      let next = links[Int(cell)]
      links[Int(cell)] = freed
      freed = cell
      freeCells += 1
      cell = next
    }
  }

  func length(of frame: Cell) -> Int { Int(pointer(frame).load(fromByteOffset: 4, as: UInt32.self)) }

  func time(of frame: Cell) -> Instant {
    Instant(nanoseconds: pointer(frame).load(fromByteOffset: 8, as: UInt64.self))
  }

  /// The frame behind this one in its `FrameList`.
  func next(of frame: Cell) -> Cell { pointer(frame).load(as: Cell.self) }

  func setNext(of frame: Cell, to next: Cell) { pointer(frame).storeBytes(of: next, as: Cell.self) }

  /// Adds the pieces of a frame without its first `skipped` bytes to `vectors`, at most `room` bytes, and reduces
  /// `room` by as many.
  func gather(_ frame: Cell, skipping skipped: Int, into vectors: inout IOVectors, room: inout Int) {
    var cell = frame
    var start = Self.headSize
    var toSkip = skipped
    var left = length(of: frame)
    while left > 0, room > 0, !vectors.isFull {
      let size = min(Self.cellSize - start, left)
      if toSkip < size {
        let count = min(size - toSkip, room)
        vectors.append(UnsafeRawBufferPointer(start: pointer(cell) + start + toSkip, count: count))
        room -= count
      }
      toSkip = max(0, toSkip - size)
      left -= size
      cell = links[Int(cell)]
      start = 0
    }
  }

  // Takes freed cells first, so that little memory is touched.
  private mutating func takeCell() -> Cell {
    freeCells -= 1
    guard freed != Self.none else {
      defer { untouched += 1 }
      return untouched
    }
    let cell = freed
    freed = links[Int(cell)]
    return cell
  }

  private func pointer(_ cell: Cell) -> UnsafeMutableRawPointer {
    memory.bytes.baseAddress! + Int(cell) * Self.cellSize
  }
}

/// Frames of a `CellStore` in order.
struct FrameList {
  private(set) var first = CellStore.none
  private var last = CellStore.none
  private(set) var bytes = 0
  private(set) var cells = 0

  var isEmpty: Bool { first == CellStore.none }

  mutating func append(_ frame: CellStore.Cell, in store: borrowing CellStore) {
    store.setNext(of: frame, to: CellStore.none)
    if isEmpty { first = frame } else { store.setNext(of: last, to: frame) }
    last = frame
    bytes += store.length(of: frame)
    cells += CellStore.cells(for: store.length(of: frame))
  }

  mutating func removeFirst(in store: borrowing CellStore) -> CellStore.Cell {
    let frame = first
    first = store.next(of: frame)
    bytes -= store.length(of: frame)
    cells -= CellStore.cells(for: store.length(of: frame))
    return frame
  }
}
