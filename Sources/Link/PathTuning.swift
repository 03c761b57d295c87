// `TCP_NOTSENT_LOWAT` alone lets the kernel take one whole packet more, so on slow paths the sender asks how much is
// queued. Connections change to BBR below 400 Mbit/s and back above 800: below, BBR keeps router queues short that
// CUBIC and Reno fill; above, its timers cost a quarter of the throughput. Five measurements in a row decide, because
// the kernel keeps BBR's timers once they are armed.

public import SystemIO

/// Adapts the kernel's settings for a connection to its path: how many unsent bytes it may hold, and which congestion
/// control it uses. Guarded by the connection's lock.
///
/// Data in the kernel can no longer be reordered or dropped, so the kernel shall hold what the path takes in a short
/// time: little on a slow path; on a fast one, little would cost too many system calls. BBR keeps the routers' queues
/// short that other algorithms fill; on a fast path its timers cost more than it saves.
struct PathTuning {
  /// How long the path may take for the kernel's unsent bytes.
  private static let time = Duration.milliseconds(2)
  private static let range = 4 << 10...1 << 20
  /// The kernel takes about one packet for the network card more than its limit. Below this limit that counts, so the
  /// sender has to keep `unsentLimit` itself.
  private static let tightness = 128 << 10
  /// Between two measurements of the rate.
  private static let interval = Duration.milliseconds(10)
  /// How much must have been sent between them, in bytes.
  private static let leastSent = 16 << 10
  /// In bytes a second. In between, the congestion control stays as it is.
  private static let slow: UInt64 = 50_000_000
  private static let fast: UInt64 = 100_000_000
  /// How many measurements in a row must find a path slow: the first packets of a connection show little, and after BBR
  /// the kernel keeps its timers.
  private static let slowMeasurements = 5

  /// In bytes.
  private(set) var unsentLimit = Int(TCPTuning.frames.unsentLimit)
  /// The round trip that nearly no packet exceeded at the last measurement; zero before.
  private(set) var roundTrip = Duration.zero
  private var sentSinceMeasurement = 0
  private var lastMeasurement = Instant(nanoseconds: 0)
  private var congestion: Congestion
  private var slowInRow = 0

  private enum Congestion {
    /// The system's default; may change to BBR.
    case system
    case bbr(instead: String)
    /// The system's default, for good.
    case fixed
  }

  init(choosesCongestionControl: Bool) {
    congestion = choosesCongestionControl ? .system : .fixed
  }

  /// Whether more than `unsentLimit` would be too much.
  var isTight: Bool { unsentLimit < Self.tightness }

  /// On a slow path, how many bytes it takes in 4 ms.
  var shortRun: Int? { isTight ? 2 * unsentLimit : nil }

  /// Measures the path if that is due; call it after every send, with the bytes sent.
  mutating func adapt(_ socket: borrowing Descriptor, sent: Int) {
    // While little is sent there is nothing to measure, so do not read the clock.
    sentSinceMeasurement += sent
    guard sentSinceMeasurement >= min(unsentLimit / 2, Self.leastSent) else { return }
    let now = Instant.now()
    guard now.since(lastMeasurement) >= Self.interval else { return }
    lastMeasurement = now
    guard let path = socket.tcpPath(), path.rate > 0 else { return }
    sentSinceMeasurement = 0
    roundTrip = path.longRoundTrip
    let limit = Self.unsentLimit(at: path.rate)
    // A path that was not used fully may be faster than it seems, but not slower.
    if !path.mayBeFaster || limit > unsentLimit { limitUnsent(of: socket, to: limit) }
    slowInRow = !path.mayBeFaster && path.rate < Self.slow ? slowInRow + 1 : 0
    chooseCongestionControl(of: socket, at: path.rate)
  }

  /// `rate` is in bytes a second.
  static func unsentLimit(at rate: UInt64) -> Int {
    let wanted = Int(clamping: UInt64(Double(rate) * time.seconds))
    return min(max(wanted, range.lowerBound), range.upperBound)
  }

  private mutating func limitUnsent(of socket: borrowing Descriptor, to limit: Int) {
    guard abs(limit - unsentLimit) > unsentLimit / 4 else { return }
    unsentLimit = limit
    socket.setUnsentLimit(limit)
  }

  private mutating func chooseCongestionControl(of socket: borrowing Descriptor, at rate: UInt64) {
    switch congestion {
    case .system where slowInRow >= Self.slowMeasurements:
      guard let name = socket.congestionControl(), socket.setCongestionControl("bbr") else {
        congestion = .fixed
        return
      }
      congestion = .bbr(instead: name)
    case .bbr(let name) where rate > Self.fast:
      congestion = socket.setCongestionControl(name) ? .system : .fixed
    case .system, .bbr, .fixed:
      break
    }
  }
}

extension TCPTuning {
  /// For connections that carry frames. `PathTuning` adapts the unsent limit, and `FrameConnection.check` the timeout
  /// after which the kernel gives up a connection whose data is not acknowledged.
  public static let frames = TCPTuning(unsentLimit: 128 << 10, userTimeout: .seconds(10))
}
