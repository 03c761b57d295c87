internal import Link
internal import SystemIO
internal import Wire

// The terms of the lease, and how this device checks them: the relay may be hostile.
extension Uplink {
  /// What a relay may send: in a large network, it tells of everybody at once.
  static let controlRate = ControlRate(perSecond: 2000, burst: 20_000)

  /// Another welcome in the same session. Each may set up addresses and routes anew.
  func renew(_ welcome: Welcome) throws(WireError) {
    guard case .joined = phase else { return }
    try check(welcome)
    guard welcome.address == lastAddress else {
      throw .badMessage("another address, \(welcome.address), while this device is in")
    }
    guard renewals.allow(at: .now()) else { throw .badMessage("other terms of the lease again and again") }
    agree(on: welcome)
    guard settings.allowPublicPool || welcome.pool.isPrivate else {
      return delegate.uplinkWarns("\(UplinkLoss.publicPool(welcome.pool)); this device stays in the former pool")
    }
    delegate.uplinkRenewed(welcome, from: host)
  }

  func check(_ welcome: Welcome) throws(WireError) {
    guard welcome.isPlausible, welcome.address != welcome.relayAddress || isLocal else {
      throw .badMessage("a welcome to \(welcome.pool) as \(welcome.address) makes no sense")
    }
  }

  private var isLocal: Bool { if case .local = settings.route { true } else { false } }
}
