/// When devices that have to come back should, so that a relay is not asked for more at a time than it can do.
///
/// Devices spread the time that they are told over its second half.
enum Pacing {
  /// How many handshakes a second a relay on a small machine does, with room for what else it has to do.
  private static let returnsPerSecond = 2000

  /// In milliseconds, for `count` devices that come back together.
  static func retryAfter(_ count: Int) -> Int {
    min(max(200, count * 2 * 1000 / returnsPerSecond), 30_000)
  }
}
