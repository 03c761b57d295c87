public import SystemIO
internal import SystemPackage

/// A whole copy of a store, in a file without a name.
public struct StoreCopy: Sendable {
  /// A database by itself, without a log beside it.
  public let file: OpenFile
  /// What the copy was made of.
  public let path: String
  /// In bytes.
  public let size: Int
  public let devices: Int
  public let leases: Int
  public let invites: Int
}

extension SQLiteStore {
  /// Copies everything that was committed before the call; operations continue meanwhile. The copy needs as much room
  /// in the directory as the database itself. It blocks for as long as that takes. From any thread, one copy at a time.
  public func copy() throws(StoreError) -> StoreCopy {
    let copy = SQLiteConnection.copyFiles(in: directory)[0]
    do {
      return try makeCopy(at: copy)
    } catch {
      for file in SQLiteConnection.copyFiles(in: directory) { _ = try? removeFile(file) }
      switch error {
      case let error as StoreError: throw error
      case Errno.noSpace: throw .diskFull(copy)
      case let error as Errno: throw .noAccess(copy, error)
      default: fatalError("no other error is thrown here")
      }
    }
  }

  private func makeCopy(at copy: String) throws -> StoreCopy {
    let path = "\(directory)/\(SQLiteConnection.fileName)"
    for file in SQLiteConnection.copyFiles(in: directory) { try removeFile(file) }
    // SQLite takes an empty file, and leaves its mode.
    try makePrivateFile(copy)
    try SQLiteConnection(path: path).run("VACUUM INTO ?1", .text(copy))
    let made = try SQLiteConnection(path: copy)
    try made.checkOwner()
    try made.checkSoundness()
    func count(_ table: String) throws(StoreError) -> Int { Int(try made.integer("SELECT count(*) FROM \(table)")) }
    let counts = (devices: try count("devices"), leases: try count("leases"), invites: try count("invites"))
    let file = try OpenFile(removing: copy)
    return StoreCopy(
      file: file, path: path, size: try file.size(), devices: counts.devices, leases: counts.leases,
      invites: counts.invites)
  }
}

extension SQLiteConnection {
  /// The copy while it is made, and what SQLite may have beside it.
  static func copyFiles(in directory: String) -> [String] {
    ["", "-journal"].map { "\(directory)/\(fileName).copy\($0)" }
  }
}
