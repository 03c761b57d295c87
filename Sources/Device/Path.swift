// A path to a peer: the connection that carries frames there, and what this device has measured on it. Each peer has
// one path, by way of the relay.

package import Link
internal import SystemIO

/// A connection that carries frames from this device; all paths by way of the relay share one. Owned by the device's
/// thread.
package final class FrameCarrier {
  /// `nil` while there is no connection: then frames are dropped.
  package var connection: FrameConnection?
  /// How many bytes the connection carries in a few milliseconds, if that is little; measured at the start of a turn.
  private(set) var shortRun = Int.max

  func measure() {
    shortRun = connection?.shortRun ?? .max
  }

  func send(_ bytes: UnsafeRawBufferPointer, frames: Int) {
    connection?.send(FrameRun(bytes, frames: frames))
  }
}

/// One path to a peer. Owned by the device's thread.
final class Path {
  // Set once.
  let carrier: FrameCarrier

  var frameLimit = FrameLimit()
  var standing = StandingQueue()
  /// The last echo on this path.
  var roundTrip: Duration?
  /// When the peer last gave an answer that only it can give.
  var lastProof: Instant?
  /// Whether the last echo was not answered in time.
  var isSilent = false

  init(_ carrier: FrameCarrier) {
    self.carrier = carrier
  }

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
