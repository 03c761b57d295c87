internal import SystemIO
internal import SystemPackage

/// How often a device was started: the file `device.starts`, one line with a number. What a device tells its peers is numbered
/// by it, so that nothing of this start is taken for older than what an earlier one has told. For any thread, and for several
/// processes at a time.
///
/// Where the number is lost, counting goes on from the minutes since 1970: that is more than any device was started,
/// and rises.
public struct StartCounter: Sendable {
  private let directory: StateDirectory

  private static let fileName = "device.starts"
  /// More than such a line is long.
  private static let limit = 64
  /// No device is started more often than that.
  public static let range = 0...(1 << 28)

  public init(in directory: StateDirectory) {
    self.directory = directory
  }

  /// Counts a start, even where the file cannot be used, which `warn` is told. A file that is damaged is put aside.
  public func count(_ warn: (String) -> Void) -> Int {
    do throws(StateError) {
      guard try !isLost() else {
        warn("\(directory.file(Self.fileName)) is missing; starts are counted on from \(Self.numberOfNow)")
        return restart()
      }
      return try next()
    } catch {
      guard error.isOfContent else {
        warn(
          "the number of this start cannot be saved; after the next start, peers may keep old information about this "
            + "device: \(error)")
        return (try? peek()) ?? Self.numberOfNow
      }
      warn(directory.setAside(Self.fileName, because: error, "starts are counted on from \(Self.numberOfNow)"))
      return restart()
    }
  }

  /// Whether the number is missing although this device has joined, so that peers know an earlier one.
  private func isLost() throws(StateError) -> Bool {
    guard try directory.read(Self.fileName, limit: Self.limit, .trusted) == nil else { return false }
    return (try? directory.read("device-id", limit: 256, .trusted)) ?? nil != nil
  }

  private static var numberOfNow: Int { min(max(1, Int(UnixTime.now() / 60)), range.upperBound) }

  /// Begins to count anew, where no earlier number has got.
  private func restart() -> Int {
    let number = Self.numberOfNow
    // If that fails too, the next start finds no number, or the damaged one, and says so.
    try? directory.update(Self.fileName, limit: Self.limit, .trusted) { _ in Array("\(number)\n".utf8) }
    return number
  }

  /// Counts a start; its number, from 1 on, is on the disk when this returns.
  func next() throws(StateError) -> Int {
    var number = 0
    try directory.update(Self.fileName, limit: Self.limit, .trusted) { content throws(StateError) in
      number = try self.number(content) + 1
      return Array("\(number)\n".utf8)
    }
    return number
  }

  /// The number that `next` would give, with nothing written.
  func peek() throws(StateError) -> Int {
    try number(directory.read(Self.fileName, limit: Self.limit, .trusted)) + 1
  }

  private func number(_ content: [UInt8]?) throws(StateError) -> Int {
    guard let content else { return 0 }
    let digits = content.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard content.count == digits.count + 1, content.last == UInt8(ascii: "\n"),
      let number = Int(String(decoding: digits, as: UTF8.self)), Self.range.contains(number)
    else {
      throw StateError(
        .damaged,
        "\(directory.file(Self.fileName)) holds no number of starts (one line, such as 12); write a number that is higher "
          + "than it was")
    }
    return number
  }
}
