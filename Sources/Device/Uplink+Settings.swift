internal import Link

extension Uplink {
  /// Changes the servers from the next attempt on, which comes at once if there is no connection and none is being
  /// made.
  func setServers(_ servers: [(host: String, port: UInt16)]) {
    if case .servers(let former) = settings.route, former.elementsEqual(servers, by: ==) { return }
    settings.route = .servers(servers)
    guard case .idle = phase else { return }
    generation += 1
    backoff.reset()
    connect()
  }

  /// How many bytes of data may wait for the relay.
  func setQueueLimit(_ limit: Int) {
    settings.queueLimit = limit
    connection?.setQueueLimit(limit)
  }
}
