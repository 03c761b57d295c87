/// What several connections have carried together. The numbers never fall.
public struct LinkTotals: Sendable, Equatable {
  public var received = FrameConnection.Traffic()
  public var sent = FrameConnection.Traffic()
  /// Data frames dropped because they waited too long, and because the queue was full.
  public var lateDrops = 0
  public var overflowDrops = 0

  public init() {}

  /// Adds what a connection has carried so far. On its loop's thread.
  public mutating func add(_ connection: FrameConnection) {
    let (sent, queue) = connection.sendStatistics
    received.add(connection.received)
    self.sent.add(sent)
    lateDrops += queue.lateDrops
    overflowDrops += queue.overflowDrops
  }

  public mutating func add(_ other: LinkTotals) {
    received.add(other.received)
    sent.add(other.sent)
    lateDrops += other.lateDrops
    overflowDrops += other.overflowDrops
  }
}

extension FrameConnection {
  /// What a connection has carried in one direction.
  public struct Traffic: Sendable, Equatable {
    public var frames = 0
    public var bytes = 0

    public init() {}

    public mutating func add(_ other: Traffic) {
      frames += other.frames
      bytes += other.bytes
    }
  }
}
