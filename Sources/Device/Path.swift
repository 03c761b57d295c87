// A path to a peer: the connection that carries frames there, and what this device has measured on it. Each peer has
// the path by way of the relay, and may have direct ones (DirectPaths.swift).

package import Link
internal import SystemIO
internal import Wire

/// A connection that carries frames from this device; all paths by way of the relay share one. Owned by the device's
/// thread.
package final class FrameCarrier {
  /// `nil` while there is no connection: then frames are dropped.
  package var connection: FrameConnection?
  /// How many frames it has taken.
  private(set) var sent = 0
  /// Called with the frames.
  var onUse: (() -> Void)?
  /// How many bytes the connection carries in a few milliseconds, if that is little; measured at the start of a turn.
  private(set) var shortRun = Int.max

  func measure() {
    shortRun = connection?.shortRun ?? .max
  }

  func send(_ bytes: UnsafeRawBufferPointer, frames: Int) {
    guard let connection else { return }
    sent += frames
    connection.send(FrameRun(bytes, frames: frames))
    if let onUse { onUse() }
  }
}

/// One path to a peer. Owned by the device's thread.
final class Path {
  // Set once.
  let carrier: FrameCarrier
  /// The number that frames carry: 0 by way of the relay, else a number that no other path of this process has had.
  let number: UInt32
  /// What stands in a frame's header: by way of the relay the peer's address, on a direct path this device's.
  let address: IPv4Address
  /// The other end of a direct path.
  let remote: SocketAddress?

  var flows = RecentFlows()
  var frameLimit = FrameLimit()
  var standing = StandingQueue()
  /// The last echo on this path.
  var roundTrip: Duration?
  /// When the peer last gave an answer that only it can give.
  var lastProof: Instant?
  /// Whether the last echo was not answered in time.
  var isSilent = false

  init(_ carrier: FrameCarrier, number: UInt32 = 0, address: IPv4Address, remote: SocketAddress? = nil) {
    self.carrier = carrier
    self.number = number
    self.address = address
    self.remote = remote
  }

  var isDirect: Bool { number > 0 }

  /// The longest frame for this path, in bytes. A longer one would delay other frames on the connection, or between the
  /// relay and the peer.
  var longestFrame: Int { min(frameLimit.bytes, carrier.shortRun) }

  func send(_ frame: [UInt8]) {
    frame.withUnsafeBytes { carrier.send($0, frames: 1) }
  }

  /// The peer has answered.
  func prove(at now: Instant) {
    lastProof = now
    isSilent = false
  }

  /// Sends one frame, sealed for this path.
  func send(_ content: [UInt8], as kind: SealedHeader.Kind, flow: UInt16, _ session: PeerSession) {
    send(session.frame(content, as: kind, flow: flow, address, path: number))
  }

  /// The peer has left: what was proved before does not count when it is back.
  func forgetProof() {
    (roundTrip, lastProof, isSilent) = (nil, nil, false)
  }
}

/// The longest frame for a path, so that a frame takes a few milliseconds: nothing overtakes a frame in transmission.
/// On a fast path frames are as long as the protocol allows; on a slow one the CPU time that long frames save is not
/// needed.
struct FrameLimit {
  /// How long the longest frame should take.
  private static let time = Duration.milliseconds(4)
  private static let range = 4 << 10...128 << 10
  /// The time over which the rate is measured.
  private static let window = Duration.milliseconds(20)

  /// In bytes.
  private(set) var bytes = range.lowerBound
  private var start = Instant(nanoseconds: 0)
  private var sent = 0
  private var formerLimit = range.lowerBound

  /// Counts bytes that are sent on the path; `now` need not be exact.
  mutating func note(_ count: Int, at now: Instant) {
    sent += count
    let passed = now.since(start)
    guard passed >= Self.window else { return }
    // Two windows, so that a short pause changes nothing.
    let most = min(Double(sent) * (Self.time.seconds / passed.seconds), Double(Self.range.upperBound))
    let limit = max(Int(most), Self.range.lowerBound)
    bytes = max(limit, formerLimit)
    formerLimit = limit
    sent = 0
    start = now
  }
}

/// The flows that were used on a path lately, as far as they fit: two that share a place count as the later one.
struct RecentFlows {
  private static let places = 64
  private static let recently = Duration.milliseconds(250)
  private var used: [64 of Instant] = .init(repeating: Instant(nanoseconds: 0))
  private var flows: [64 of UInt16] = .init(repeating: 0)

  mutating func note(_ flow: UInt16, at now: Instant) {
    let place = Int(flow) % Self.places
    flows[place] = flow
    used[place] = now
  }

  func latest(at now: Instant) -> [UInt16] {
    (0..<Self.places).filter { now.since(used[$0]) < Self.recently }.map { flows[$0] }
  }
}
