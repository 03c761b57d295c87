internal import SystemIO

/// The lines that one subscriber gets: whole, in order, and bounded. Who does not read loses what waits, and gets a snapshot
/// in its place once it reads again.
struct ControlFeed {
  enum State {
    /// A snapshot is asked for; what happens meanwhile is in it.
    case awaitsSnapshot
    case isUpToDate
    /// Lines were lost.
    case isBehind
  }

  private(set) var state = State.awaitsSnapshot
  /// What the socket is being given.
  private var sending: ArraySlice<UInt8> = []
  private var waiting: [UInt8] = []

  /// Of the lines behind the one that is being sent, in bytes.
  static let maximumWaiting = 256 << 10

  /// Takes the snapshot that was asked for.
  mutating func take(snapshot line: [UInt8]) {
    guard case .awaitsSnapshot = state else { return }
    state = .isUpToDate
    sending = line[...]
  }

  mutating func take(event line: [UInt8]) {
    guard case .isUpToDate = state else { return }
    if sending.isEmpty {
      sending = line[...]
    } else if waiting.count + line.count <= Self.maximumWaiting {
      waiting += line
    } else {
      waiting = []
      state = .isBehind
    }
  }

  /// Gives `send` what it takes, which returns how much that was. True: everything was taken, and the subscriber is behind, so that
  /// another snapshot is needed.
  mutating func flush(_ send: (UnsafeRawBufferPointer) throws -> Int?) rethrows -> Bool {
    while !sending.isEmpty {
      guard let count = try sending.withUnsafeBytes(send) else { return false }
      sending = sending.dropFirst(count)
      if sending.isEmpty {
        sending = waiting[...]
        waiting = []
      }
    }
    guard case .isBehind = state else { return false }
    state = .awaitsSnapshot
    return true
  }

  var isEmpty: Bool { sending.isEmpty }
}
