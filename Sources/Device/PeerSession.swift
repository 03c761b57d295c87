internal import Noise
internal import SystemIO
internal import Wire

/// The keys that this device and a peer have agreed on, and the counters of their frames. Owned by the device's thread.
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
  /// The counter of the next frame.
  private(set) var sent: UInt64 = 0
  private var window = ReplayWindow()
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
  func seal(_ payload: UnsafeMutableRawBufferPointer, as kind: SealedHeader.Kind = .packets) {
    SealedHeader(session: peersNumber, kind: kind, counter: sent).write(to: payload)
    sending.seal(
      UnsafeMutableRawBufferPointer(rebasing: payload[SealedHeader.size...]), counter: sent,
      associatedData: UnsafeRawBufferPointer(rebasing: payload[..<SealedHeader.size]))
    sent += 1
    if kind == .packets { isInUse = true }
  }

  /// A whole data frame to the peer at `address` with this content, sealed.
  func frame(_ content: [UInt8], as kind: SealedHeader.Kind, flow: UInt16, to address: IPv4Address) -> [UInt8] {
    let length = Self.overhead + content.count
    var frame = [UInt8]()
    frame.reserveCapacity(FrameHeader.size + length)
    frame += [UInt8](repeating: 0, count: FrameHeader.size + SealedHeader.size)
    frame += content
    frame += [UInt8](repeating: 0, count: TransportCipher.tagSize)
    frame.withUnsafeMutableBytes { frame in
      FrameHeader(type: .data, length: length, address: address, flow: flow).write(to: frame)
      seal(UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.size...]), as: kind)
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
