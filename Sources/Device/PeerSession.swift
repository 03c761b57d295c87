internal import Noise
internal import SystemIO
internal import Wire

/// The keys that this device and a peer have agreed on for a while, and what has been done with them. Owned by the device's
/// thread.
final class PeerSession {
  /// By which the peer names the session in frames to this device, and this device in frames to the peer.
  let number: UInt32
  let peersNumber: UInt32
  let isInitiator: Bool
  let suite: CipherSuite
  let since: Instant
  /// Whether the peer has proved that it has the session too: its initiator has, by answering.
  var isConfirmed: Bool
  private let sending: TransportCipher
  private let receiving: TransportCipher
  /// The counter of the next frame.
  private(set) var sent: UInt64 = 0
  private var window = ReplayWindow()
  /// Set by every frame with packets that goes or comes; for whoever looks now and then whether the session is in use.
  var isInUse = false

  /// How many bytes a sealed payload has beyond its content: the header in front of it, the tag behind it.
  static let overhead = SealedHeader.size + TransportCipher.tagSize

  init(
    number: UInt32, peersNumber: UInt32, isInitiator: Bool, suite: CipherSuite,
    keys: (send: TransportKey, receive: TransportKey),
    since: Instant
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

  /// Seals a data frame's payload in place: `overhead` bytes more than the content, which stands behind room for the header
  /// and before room for the tag.
  func seal(_ payload: UnsafeMutableRawBufferPointer, as kind: SealedHeader.Kind = .packets) {
    SealedHeader(session: peersNumber, kind: kind, counter: sent).write(to: payload)
    sending.seal(
      UnsafeMutableRawBufferPointer(rebasing: payload[SealedHeader.size...]), counter: sent,
      associatedData: UnsafeRawBufferPointer(rebasing: payload[..<SealedHeader.size]))
    sent += 1
    if kind == .packets { isInUse = true }
  }

  enum Opened {
    case content(UnsafeRawBufferPointer)
    /// It has come before, or so late that it may have.
    case replayed
    case forged
  }

  /// Opens a data frame's payload in place.
  func open(_ payload: UnsafeMutableRawBufferPointer, _ header: SealedHeader) -> Opened {
    guard payload.count >= Self.overhead, header.counter < .max else { return .forged }
    guard window.mayAccept(header.counter) else { return .replayed }
    guard
      receiving.open(
        UnsafeMutableRawBufferPointer(rebasing: payload[SealedHeader.size...]), counter: header.counter,
        associatedData: UnsafeRawBufferPointer(rebasing: payload[..<SealedHeader.size]))
    else { return .forged }
    guard window.accept(header.counter) else { return .replayed }
    if header.kind == .packets { isInUse = true }
    return .content(
      UnsafeRawBufferPointer(rebasing: payload[SealedHeader.size..<payload.count - TransportCipher.tagSize]))
  }
}
