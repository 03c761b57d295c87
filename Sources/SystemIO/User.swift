internal import Glibc
public import SystemPackage

/// A user of this system, with its primary group.
public struct User: Equatable, Sendable {
  public let name: String
  public let id: UInt32
  public let group: UInt32

  /// The user of that name; `nil` if there is none (getpwnam_r(3)).
  public init?(named name: String) throws(Errno) {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var room = [CChar](repeating: 0, count: 1024)
    var result = getpwnam_r(name, &entry, &room, room.count, &found)
    while result == ERANGE || result == EINTR {
      if result == ERANGE { room = [CChar](repeating: 0, count: room.count * 2) }
      result = getpwnam_r(name, &entry, &room, room.count, &found)
    }
    // The manual lists these errors as other ways to say that there is none.
    if [0, ENOENT, ESRCH].contains(result), found == nil { return nil }
    guard found != nil else { throw Errno(rawValue: result) }
    self.name = name
    id = entry.pw_uid
    group = entry.pw_gid
  }

  /// The user's name in /etc/passwd, or else the number, for messages. Asks no other source of names: a daemon must not
  /// wait for one in the network.
  public static func name(of id: UInt32) -> String { name(of: id, at: "/etc/passwd") }

  /// The same for a group and /etc/group.
  public static func groupName(of id: UInt32) -> String { name(of: id, at: "/etc/group") }

  private static func name(of id: UInt32, at path: String) -> String {
    let file = (try? readRegularFile(path, limit: 1 << 20)) ?? []
    return name(of: id, in: file) ?? "\(id)"
  }

  /// Of passwd(5) or group(5): name, password, number, and more, separated by colons.
  static func name(of id: UInt32, in file: [UInt8]) -> String? {
    for line in file.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 3, omittingEmptySubsequences: false)
      guard fields.count == 4, UInt32(String(decoding: fields[2], as: UTF8.self)) == id, !fields[0].isEmpty else {
        continue
      }
      return String(decoding: fields[0], as: UTF8.self)
    }
    return nil
  }
}
