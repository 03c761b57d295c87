internal import Link
internal import Synchronization
internal import SystemIO
internal import Wire

/// The outlet of each address, for the data path: every loop reads its own snapshot without a lock, and takes a new one
/// when the version has changed.
final class ForwardingTable: Sendable {
  private let current: Mutex<Snapshot>
  private let count = Atomic<Int>(0)

  init(pool: IPv4Prefix) {
    current = Mutex(Snapshot(pool: pool))
  }

  /// Rises with every change. A loop that reads a frame sees every change made before the frame was sent.
  var version: Int { count.load(ordering: .acquiring) }

  var snapshot: Snapshot { current.withLock { $0 } }

  /// Sets the outlet of an address; `nil` removes it.
  func set(_ outlet: Outlet?, at address: IPv4Address) {
    current.withLock { $0.set(outlet, at: address) }
    count.add(1, ordering: .releasing)
  }

  /// Makes room for the addresses of `pool`, which contains the present one.
  func grow(to pool: IPv4Prefix) {
    current.withLock { $0 = $0.grown(to: pool) }
    count.add(1, ordering: .releasing)
  }

  /// The outlets at one time, in pages as large as the square root of the pool, so that a change copies little.
  struct Snapshot: Sendable {
    private let pool: IPv4Prefix
    private let pageBits: UInt32
    private var pages: [[Outlet?]]

    init(pool: IPv4Prefix) {
      self.pool = pool
      let hostBits = 32 - pool.length
      pageBits = UInt32((hostBits + 1) / 2)
      pages = Array(repeating: [], count: 1 << (hostBits - Int(pageBits)))
    }

    func outlet(at address: IPv4Address) -> Outlet? {
      guard pool.contains(address) else { return nil }
      let offset = address.bits - pool.network.bits
      let page = Int(offset >> pageBits)
      let slot = Int(offset & (1 << pageBits - 1))
      return slot < pages[page].count ? pages[page][slot] : nil
    }

    fileprivate func grown(to larger: IPv4Prefix) -> Snapshot {
      var grown = Snapshot(pool: larger)
      for (page, outlets) in pages.enumerated() {
        for (slot, outlet) in outlets.enumerated() where outlet != nil {
          grown.set(outlet, at: IPv4Address(bits: pool.network.bits + UInt32(page) << pageBits + UInt32(slot)))
        }
      }
      return grown
    }

    fileprivate mutating func set(_ outlet: Outlet?, at address: IPv4Address) {
      let offset = address.bits - pool.network.bits
      let page = Int(offset >> pageBits)
      let slot = Int(offset & (1 << pageBits - 1))
      if pages[page].isEmpty { pages[page] = Array(repeating: nil, count: 1 << pageBits) }
      pages[page][slot] = outlet
    }
  }
}

/// Takes frames for the other end of a connection.
final class Outlet: @unchecked Sendable {
  let connection: FrameConnection
  private let limit: ConnectionLimit

  // `@unchecked`: owned by the thread of the connection's loop.
  private var notices = RateLimit(perSecond: 200, burst: 200)

  /// Counts the connection as long as the outlet exists: snapshots of other loops may keep the descriptor open.
  init(_ connection: FrameConnection, countedBy limit: ConnectionLimit) {
    self.connection = connection
    self.limit = limit
    limit.count(1)
  }

  deinit { limit.count(-1) }

  /// Tells the other end that no device has `address`, at a limited rate. On the thread of the connection's loop.
  func report(unreachable address: IPv4Address) {
    guard notices.allow(at: .now()) else { return }
    connection.send(control: ControlMessage.unreachable(.address(address)).frame())
  }
}
