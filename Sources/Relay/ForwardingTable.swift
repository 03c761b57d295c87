internal import Synchronization
internal import Wire

/// Which session has an address, for the data path: every loop reads a snapshot of its own without a lock, and takes a new
/// one when the version says so.
final class ForwardingTable: Sendable {
  private let current: Mutex<Snapshot>
  private let count = Atomic<Int>(0)

  init(pool: IPv4Prefix) {
    current = Mutex(Snapshot(pool: pool))
  }

  /// Rises with every change; a change made before a frame was sent is seen by whoever reads the frame.
  var version: Int { count.load(ordering: .acquiring) }

  var snapshot: Snapshot { current.withLock { $0 } }

  /// Puts `session` at `address`, or nobody.
  func set(_ session: Session?, at address: IPv4Address) {
    current.withLock { $0.set(session, at: address) }
    count.add(1, ordering: .releasing)
  }

  /// Makes room for the addresses of `pool`, which has all that there are now.
  func grow(to pool: IPv4Prefix) {
    current.withLock { $0 = $0.grown(to: pool) }
    count.add(1, ordering: .releasing)
  }

  /// The sessions by address at one time, in pages as large as the square root of the pool, so that a change copies
  /// little of it.
  struct Snapshot: Sendable {
    private let pool: IPv4Prefix
    private let pageBits: UInt32
    private var pages: [[Session?]]

    init(pool: IPv4Prefix) {
      self.pool = pool
      let hostBits = 32 - pool.length
      pageBits = UInt32((hostBits + 1) / 2)
      pages = Array(repeating: [], count: 1 << (hostBits - Int(pageBits)))
    }

    func session(at address: IPv4Address) -> Session? {
      guard pool.contains(address) else { return nil }
      let offset = address.bits - pool.network.bits
      let page = Int(offset >> pageBits)
      let slot = Int(offset & (1 << pageBits - 1))
      return slot < pages[page].count ? pages[page][slot] : nil
    }

    fileprivate func grown(to larger: IPv4Prefix) -> Snapshot {
      var grown = Snapshot(pool: larger)
      for (page, sessions) in pages.enumerated() {
        for (slot, session) in sessions.enumerated() where session != nil {
          grown.set(session, at: IPv4Address(bits: pool.network.bits + UInt32(page) << pageBits + UInt32(slot)))
        }
      }
      return grown
    }

    fileprivate mutating func set(_ session: Session?, at address: IPv4Address) {
      let offset = address.bits - pool.network.bits
      let page = Int(offset >> pageBits)
      let slot = Int(offset & (1 << pageBits - 1))
      if pages[page].isEmpty { pages[page] = Array(repeating: nil, count: 1 << pageBits) }
      pages[page][slot] = session
    }
  }
}
