internal import Noise
internal import SystemIO
internal import Wire

/// The keys that this device and a peer have agreed on, and the counters of their frames: each path counts for itself.
/// Owned by the device's thread.
final class PeerSession {
  /// The number that the peer puts into frames to this device.
  let number: UInt32
  /// The number that this device puts into frames to the peer.
  let peersNumber: UInt32
  let isInitiator: Bool
  let suite: CipherSuite
  let since: Instant
  /// Whether the peer has proved that it has the session; a responder has, by answering.
  var isConfirmed: Bool
  private let sending: TransportCipher
  private let receiving: TransportCipher
  /// The frames sealed on all paths.
  private(set) var sent: UInt64 = 0
  private var counters = PathCounters()
  private var windows = PathWindows()
  /// Set by every frame with packets, sent or received. The check of the sessions resets it.
  var isInUse = false

  /// A sealed payload is this much longer than its content: the header before it, the tag behind it.
  static let overhead = SealedHeader.size + TransportCipher.tagSize

  init(
    number: UInt32, peersNumber: UInt32, isInitiator: Bool, suite: CipherSuite,
    keys: (send: TransportKey, receive: TransportKey), since: Instant
  ) {
    self.number = number
    self.peersNumber = peersNumber
    self.isInitiator = isInitiator
    self.suite = suite
    self.since = since
    isConfirmed = isInitiator
    sending = TransportCipher(keys.send)
    receiving = TransportCipher(keys.receive)
  }

  /// Seals a data frame's payload in place. The content stands between room for the header and room for the tag.
  func seal(_ payload: UnsafeMutableRawBufferPointer, as kind: SealedHeader.Kind = .packets, path: UInt32 = 0) {
    let counter = counters.next(on: path)
    SealedHeader(session: peersNumber, kind: kind, path: path, counter: counter).write(to: payload)
    sending.seal(
      UnsafeMutableRawBufferPointer(rebasing: payload[SealedHeader.size...]), path: path, counter: counter,
      associatedData: UnsafeRawBufferPointer(rebasing: payload[..<SealedHeader.size]))
    sent += 1
    if kind == .packets { isInUse = true }
  }

  /// A whole data frame with this content, sealed; `address` is for its header.
  func frame(
    _ content: [UInt8], as kind: SealedHeader.Kind, flow: UInt16, _ address: IPv4Address, path: UInt32
  ) -> [UInt8] {
    let length = Self.overhead + content.count
    var frame = [UInt8]()
    frame.reserveCapacity(FrameHeader.size + length)
    frame += [UInt8](repeating: 0, count: FrameHeader.size + SealedHeader.size)
    frame += content
    frame += [UInt8](repeating: 0, count: TransportCipher.tagSize)
    frame.withUnsafeMutableBytes { frame in
      FrameHeader(type: .data, length: length, address: address, flow: flow).write(to: frame)
      seal(UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...]), as: kind, path: path)
    }
    return frame
  }

  enum Opened {
    case content(UnsafeRawBufferPointer)
    /// It has come before, or is older than the replay window.
    case replayed
    case forged
  }

  /// Opens a data frame's payload in place.
  func open(_ payload: UnsafeMutableRawBufferPointer, _ header: SealedHeader) -> Opened {
    guard payload.count >= Self.overhead, header.counter < .max else { return .forged }
    guard windows.mayAccept(header.counter, on: header.path) else { return .replayed }
    guard
      receiving.open(
        UnsafeMutableRawBufferPointer(rebasing: payload[SealedHeader.size...]), path: header.path,
        counter: header.counter,
        associatedData: UnsafeRawBufferPointer(rebasing: payload[..<SealedHeader.size]))
    else { return .forged }
    guard windows.accept(header.counter, on: header.path) else { return .replayed }
    if header.kind == .packets { isInUse = true }
    return .content(
      UnsafeRawBufferPointer(rebasing: payload[SealedHeader.size..<payload.count - TransportCipher.tagSize]))
  }
}

/// The counters of the frames that a session has sealed, by path. The relay's path has the number 0; direct paths have
/// rising numbers, and one that is not among the `kept` latest is never sealed for again, since its counter is lost.
struct PathCounters {
  private var relay: UInt64 = 0
  /// The latest direct paths, in the order of their numbers.
  private var direct: [(path: UInt32, next: UInt64)] = []
  private var forgotten: UInt32 = 0

  static let kept = 8

  /// The counter of the next frame on `path`: a precondition is that the path is not forgotten.
  mutating func next(on path: UInt32) -> UInt64 {
    guard path > 0 else {
      defer { relay += 1 }
      return relay
    }
    var place = direct.count
    while place > 0, direct[place - 1].path > path { place -= 1 }
    if place == 0 || direct[place - 1].path != path {
      precondition(path > forgotten)
      direct.insert((path, 0), at: place)
      place += 1
      if direct.count > Self.kept {
        forgotten = direct.removeFirst().path
        place -= 1
        precondition(place > 0)
      }
    }
    defer { direct[place - 1].next += 1 }
    return direct[place - 1].next
  }
}

/// The replay windows of a session, by path: of the relay's path and of the latest direct paths. Frames of older ones
/// are refused.
struct PathWindows {
  private var relay = ReplayWindow()
  /// In the order of their numbers.
  private var direct: [(path: UInt32, window: ReplayWindow)] = []
  private var forgotten: UInt32 = 0

  /// A cheap check before a frame is opened.
  func mayAccept(_ counter: UInt64, on path: UInt32) -> Bool {
    guard path > 0 else { return relay.mayAccept(counter) }
    return direct.last { $0.path <= path }.map { $0.path != path || $0.window.mayAccept(counter) } ?? true
      && path > forgotten && counter != .max
  }

  /// Takes the counter of a frame that was opened. False: it was received before, or is too old to tell.
  mutating func accept(_ counter: UInt64, on path: UInt32) -> Bool {
    guard path > 0 else { return relay.accept(counter) }
    guard path > forgotten else { return false }
    var place = direct.count
    while place > 0, direct[place - 1].path > path { place -= 1 }
    if place > 0, direct[place - 1].path == path { return direct[place - 1].window.accept(counter) }
    var window = ReplayWindow()
    guard window.accept(counter) else { return false }
    direct.insert((path, window), at: place)
    if direct.count > PathCounters.kept { forgotten = direct.removeFirst().path }
    return true
  }
}
