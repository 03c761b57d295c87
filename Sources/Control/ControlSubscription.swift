public import SystemIO

/// The events of a daemon's answer to `subscribe`. Owned by one thread.
public final class ControlSubscription {
  private let socket: Descriptor
  private var rest: [UInt8] = []
  /// No line of `rest` ends before this index.
  private var searched = 0
  private let buffer = RawBuffer(count: 64 << 10)

  /// Subscribes at the daemon at `path`. Its answer comes with `read`.
  public init(at path: String, timeout: Duration) throws(ControlClient.Failure) {
    let deadline = Instant.now().advanced(by: timeout)
    socket = try ControlClient.connect(to: path, until: deadline)
    do {
      try JSON.line(ControlRequest(.subscribe)).withUnsafeBytes {
        try ControlClient.send($0, to: socket, until: deadline)
      }
    } catch let failure as ControlClient.Failure {
      throw failure
    } catch {
      throw .noAnswer
    }
  }

  /// Calls `handler` on `events` when there is something to read.
  public func register(with events: EventLoop, handler: any EventHandler) throws {
    _ = try events.register(socket, for: .readable, handler: handler)
  }

  /// Waits for the next events, until `deadline` at most; empty if there were none. Also throws when the daemon ends.
  public func next(until deadline: Instant) throws(ControlClient.Failure) -> [PeerEventReport] {
    while true {
      let events = try read()
      if !events.isEmpty { return events }
      guard (try? socket.wait(for: .readable, until: deadline)) == true else { return [] }
    }
  }

  /// The events that have arrived, without waiting.
  public func read() throws(ControlClient.Failure) -> [PeerEventReport] {
    let count: Int?
    do {
      count = try socket.read(into: buffer.bytes)
    } catch {
      throw .noAnswer
    }
    guard let count else { return [] }
    guard count > 0 else { throw .noAnswer }
    rest.append(contentsOf: buffer.bytes[..<count])
    var events: [PeerEventReport] = []
    var start = 0
    while let end = rest[searched...].firstIndex(of: UInt8(ascii: "\n")) {
      events.append(try Self.event(rest[start..<end]))
      start = end + 1
      searched = start
    }
    rest.removeFirst(start)
    searched = rest.count
    guard rest.count <= ControlClient.maximumAnswer else { throw .badAnswer }
    return events
  }

  private static func event(_ line: ArraySlice<UInt8>) throws(ControlClient.Failure) -> PeerEventReport {
    if let event = JSON.decode(PeerEventReport.self, line) { return event }
    if let error = JSON.decode(ControlResponse<Done>.self, line)?.error { throw .refused(error) }
    throw .badAnswer
  }
}
