internal import Control

/// What a hook is still to be told of. What has come to nothing meanwhile is left out: a peer that has joined and left again,
/// information that is newer by now.
struct HookQueue {
  private(set) var events: [PeerEventReport] = []
  /// How many were dropped because too many waited.
  private(set) var dropped = 0

  static let maximum = 256

  mutating func add(_ event: PeerEventReport) {
    let last = events.lastIndex {
      $0.peer?.address == event.peer?.address && $0.peer?.deviceId == event.peer?.deviceId
    }
    switch (last.map { events[$0].event }, event.event) {
    case (.joined, .left):
      // Nobody was told that it was there.
      if let last { events.remove(at: last) }
      return
    case (.changed, .left):
      if let last { events.remove(at: last) }
    case (.joined, .changed), (.changed, .changed):
      if let last { events[last].peer = event.peer }
      return
    default: break
    }
    if events.count >= Self.maximum {
      events.removeFirst()
      dropped += 1
    }
    events.append(event)
  }

  mutating func next() -> PeerEventReport? {
    events.isEmpty ? nil : events.removeFirst()
  }
}
