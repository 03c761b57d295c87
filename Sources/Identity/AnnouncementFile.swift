internal import SystemIO
internal import SystemPackage
public import Wire

/// What a device announces, for its next start: the file `device.announced`, one line of JSON. For any thread.
public struct AnnouncementFile: Sendable {
  private let file: StateFile

  public init(in directory: StateDirectory) {
    file = StateFile(directory: directory, name: "device.announced", limit: 4 * Orchestration.maximumSize)
  }

  /// What was announced; nothing if the file cannot be read, of which `warn` is told. Puts a damaged file aside.
  public func loadOrSetAside(_ warn: (String) -> Void) -> Announcement {
    do throws(StateError) {
      return try load()
    } catch {
      let consequence = "peers are told of nothing that was announced before; announce it anew (mnedc-ctl announce)"
      warn(
        error.isOfContent
          ? file.directory.setAside(file.name, because: error, consequence) : "\(error.finding); \(consequence)")
      return Announcement()
    }
  }

  /// An empty announcement if there is none.
  public func load() throws(StateError) -> Announcement {
    guard let content = try file.read() else { return Announcement() }
    guard let announcement = Announcement(decoding: content) else {
      throw StateError(
        .damaged,
        "\(file.path) holds no announcement of this program; restore it from a backup, or remove it and "
          + "announce anew (mnedc-ctl announce) what is not in the configuration")
    }
    return announcement
  }

  /// The announcement is on the disk when this returns. After a crash before that, the former one or this one is there.
  public func save(_ announcement: Announcement) throws(StateError) {
    guard announcement != Announcement() else { return try file.remove() }
    try file.update { _ in announcement.encoded() }
  }
}

/// How often a device was started: the file `device.starts`, one line with a number. The device numbers what it tells
/// its peers by it, so that peers prefer this start's messages to those of earlier ones. For any thread, and for
/// several processes at a time.
///
/// A lost counter continues from the minutes since 1970, which is more than any device was started, and rises.
public struct StartCounter: Sendable {
  private let file: StateFile

  /// No device is started more often.
  public static let range = 0...(1 << 28)

  public init(in directory: StateDirectory) {
    file = StateFile(directory: directory, name: "device.starts", limit: 64)
  }

  /// Counts a start, even if the file cannot be used, of which `warn` is told. Puts a damaged file aside.
  public func count(_ warn: (String) -> Void) -> Int {
    do throws(StateError) {
      guard try !isLost() else {
        warn("\(file.path) is missing; starts are counted on from \(Self.minutesNow)")
        return restart()
      }
      return try next()
    } catch {
      guard error.isOfContent else {
        warn(
          "the number of this start cannot be saved; after the next start, peers may keep old information about this "
            + "device: \(error)")
        return (try? number(file.read()) + 1) ?? Self.minutesNow
      }
      let consequence = "starts are counted on from \(Self.minutesNow)"
      warn(file.directory.setAside(file.name, because: error, consequence))
      return restart()
    }
  }

  /// Whether the file is missing although this device has joined, so that peers know a number.
  private func isLost() throws(StateError) -> Bool {
    guard try file.read() == nil else { return false }
    return (try? file.directory.read("device-id", limit: 256, .trusted)) ?? nil != nil
  }

  private static var minutesNow: Int { min(max(1, Int(UnixTime.now() / 60)), range.upperBound) }

  /// Begins to count anew, above every earlier number.
  private func restart() -> Int {
    let number = Self.minutesNow
    // If that fails too, the next start finds no number, or the damaged one, and says so.
    try? file.update { _ in Array("\(number)\n".utf8) }
    return number
  }

  /// Counts a start; its number, from 1 on, is on the disk when this returns.
  private func next() throws(StateError) -> Int {
    var number = 0
    try file.update { content throws(StateError) in
      number = try self.number(content) + 1
      return Array("\(number)\n".utf8)
    }
    return number
  }

  private func number(_ content: [UInt8]?) throws(StateError) -> Int {
    guard let content else { return 0 }
    let digits = content.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard content.count == digits.count + 1, content.last == UInt8(ascii: "\n"),
      let number = Int(String(decoding: digits, as: UTF8.self)), Self.range.contains(number)
    else {
      throw StateError(
        .damaged,
        "\(file.path) holds no number of starts (one line, such as 12); write a number that is higher "
          + "than it was")
    }
    return number
  }
}
