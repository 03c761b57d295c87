internal import SystemPackage

/// How often a device was started: the file `device.starts`, one line with a number. What a device tells its peers is numbered
/// by it, so that nothing of this start is taken for older than what an earlier one has told. For any thread, and for several
/// processes at a time.
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

  /// Counts a start; its number, from 1 on, is on the disk when this returns.
  public func next() throws(StateError) -> Int {
    var number = 0
    try directory.update(Self.fileName, limit: Self.limit, .trusted) { content throws(StateError) in
      number = try self.number(content) + 1
      return Array("\(number)\n".utf8)
    }
    return number
  }

  /// The number that `next` would give, with nothing written.
  public func peek() throws(StateError) -> Int {
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
          + "than it was, or remove it to count from 1")
    }
    return number
  }
}
