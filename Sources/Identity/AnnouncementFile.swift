internal import SystemPackage
public import Wire

/// What a device was told to announce, for its next start: the file `device.announced`, one line of JSON. For any thread.
public struct AnnouncementFile: Sendable {
  private let directory: StateDirectory

  private static let fileName = "device.announced"
  /// More than all that one device can tell.
  private static let limit = 4 * Orchestration.maximumSize

  public init(in directory: StateDirectory) {
    self.directory = directory
  }

  /// What was announced; nothing if that cannot be read, which `warn` is told. A file that is damaged is put aside.
  public func loadOrSetAside(_ warn: (String) -> Void) -> Announcement {
    do throws(StateError) {
      return try load()
    } catch {
      let consequence = "peers are told of nothing that was announced before; announce it anew (mnedc-ctl announce)"
      warn(
        error.isOfContent
          ? directory.setAside(Self.fileName, because: error, consequence) : "\(error.finding); \(consequence)")
      return Announcement()
    }
  }

  /// An empty one if there is none.
  public func load() throws(StateError) -> Announcement {
    guard let content = try directory.read(Self.fileName, limit: Self.limit, .trusted) else { return Announcement() }
    guard let announcement = Announcement(decoding: content) else {
      throw StateError(
        .damaged,
        "\(directory.file(Self.fileName)) holds no announcement of this program; restore it from a backup, or remove it and "
          + "announce anew (mnedc-ctl announce) what is not in the configuration")
    }
    return announcement
  }

  /// It is on the disk when this returns; after a crash before that, the former one or this one is there.
  public func save(_ announcement: Announcement) throws(StateError) {
    guard announcement != Announcement() else { return try directory.remove(Self.fileName) }
    try directory.update(Self.fileName, limit: Self.limit, .trusted) { _ in announcement.encoded() }
  }
}
