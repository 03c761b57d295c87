internal import SystemIO

/// How many bytes the kernel may hold that it has not sent yet: what the other end takes in a short while. Those can no
/// longer be reordered or dropped, so on a slow link they must be few; on a fast one, few would mean a system call for
/// every bit of them.
struct UnsentLimit {
  /// What the kernel's share may last.
  private static let time = Duration.milliseconds(2)
  private static let range = 16 << 10...4 << 20
  /// Between two looks at the rate.
  private static let interval = Duration.milliseconds(10)

  private var bytes = Int(TCPTuning.frames.unsentLimit)
  private var lastLook = Instant(nanoseconds: 0)

  /// Looks at the socket's rate if that is due, and tells the kernel if the limit should be another by a quarter or more.
  mutating func adapt(_ socket: borrowing Descriptor, at now: Instant) {
    guard now.since(lastLook) >= Self.interval else { return }
    lastLook = now
    guard let rate = socket.deliveryRate(), rate > 0 else { return }
    let wanted = Int(clamping: UInt64(Double(rate) * Self.time.seconds))
    let limit = min(max(wanted, Self.range.lowerBound), Self.range.upperBound)
    guard abs(limit - bytes) > bytes / 4 else { return }
    bytes = limit
    socket.setUnsentLimit(limit)
  }
}
