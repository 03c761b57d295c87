/// Which of the last counters of one direction of a session were received, so that each is accepted once, in any order.
/// It allocates nothing.
///
/// One bit a counter in a ring of words, as in RFC 6479: advancing clears whole words and shifts nothing. The ring has
/// one word more than the window, since the newest word is only partly used.
public struct ReplayWindow: Sendable {
  /// How many counters below the highest accepted one are still told apart; older ones are refused.
  public static let size: UInt64 = 2048

  private var words: [33 of UInt64] = .init(repeating: 0)
  private var highest: UInt64 = 0

  public init() {}

  /// Whether a frame with this counter can still be accepted: a cheap check before it is opened.
  public func mayAccept(_ counter: UInt64) -> Bool {
    // Noise reserves this one.
    guard counter != .max else { return false }
    if counter > highest { return true }
    return highest - counter < Self.size && words[Self.index(counter)] & Self.bit(counter) == 0
  }

  /// Takes the counter of a frame that was opened. False: it was received before, or is too old to tell.
  public mutating func accept(_ counter: UInt64) -> Bool {
    guard mayAccept(counter) else { return false }
    if counter > highest {
      let entered = counter / 64 - highest / 64
      for step in 0..<min(entered, UInt64(words.count)) { words[Self.index(counter - step * 64)] = 0 }
      highest = counter
    }
    words[Self.index(counter)] |= Self.bit(counter)
    return true
  }

  private static func index(_ counter: UInt64) -> Int { Int(counter / 64 % 33) }

  private static func bit(_ counter: UInt64) -> UInt64 { 1 << (counter % 64) }
}
