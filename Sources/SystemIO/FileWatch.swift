internal import CLinux
internal import Glibc
public import SystemPackage

/// Reports when any program writes, replaces, removes or creates a file (inotify(7)). Owned by the loop's thread.
///
/// Watches each file's directory, because a rename replaces the file; and the file itself, because a mount point
/// changes without its directory.
public final class FileWatch: EventHandler {
  // Set once.
  private let descriptor: Descriptor
  private let events: EventLoop
  private let paths: [String]
  private let onChange: (String) -> Void

  // Owned by the loop's thread.
  private var registration: Registration?
  /// For each watch of a directory, the paths of the watched files by name.
  private var directories: [CInt: [String: String]] = [:]
  /// The watch of each file itself, by path.
  private var files: [String: CInt] = [:]
  private let buffer = RawBuffer(count: 16 << 10)

  private static let mask = UInt32(
    IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB)

  /// Watches the files at these absolute paths, which need not exist. After a change the loop's thread calls `onChange`
  /// with the path. Several changes may cause one call, and one change several calls.
  ///
  /// Throws `tooManyOpenFiles` where the user has no inotify instance left (fs.inotify.max_user_instances).
  public init(_ paths: [String], on events: EventLoop, _ onChange: @escaping (String) -> Void) throws(Errno) {
    self.events = events
    self.paths = paths
    self.onChange = onChange
    descriptor = try Descriptor { inotify_init1(CInt(IN_CLOEXEC) | CInt(IN_NONBLOCK)) }
    registration = try events.register(descriptor, for: .readable, handler: self)
    refresh()
  }

  /// Adds watches that are missing, such as of a directory that was removed and created again.
  public func refresh() {
    guard registration != nil else { return }
    for path in paths {
      let (directory, name) = splitPath(path)
      let watch = inotify_add_watch(descriptor.raw, directory, Self.mask | UInt32(IN_ONLYDIR))
      if watch >= 0 { directories[watch, default: [:]][name] = path }
      watchItself(path)
    }
  }

  /// Ends the watch.
  public func stop() {
    if let registration = registration.take() { events.deregister(descriptor, registration) }
  }

  private func watchItself(_ path: String) {
    let former = files[path]
    let watch = inotify_add_watch(descriptor.raw, path, UInt32(IN_CLOSE_WRITE | IN_ATTRIB))
    files[path] = watch >= 0 ? watch : nil
    // The former file may still exist under another name.
    if let former, former != watch { _ = inotify_rm_watch(descriptor.raw, former) }
  }

  public func handle(_ events: Events) {
    var changed: Set<String> = []
    while let count = (try? descriptor.read(into: buffer.bytes)) ?? nil, count > 0 {
      read(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]), &changed)
    }
    for path in changed.sorted() where registration != nil {
      watchItself(path)
      onChange(path)
    }
  }

  /// Parses the events of one read. Each is a watch, a mask, a cookie and the length of a name, 4 bytes each, then the
  /// name, padded with zeros.
  private func read(_ bytes: UnsafeRawBufferPointer, _ changed: inout Set<String>) {
    var rest = bytes
    while rest.count >= 16 {
      let watch = rest.loadUnaligned(as: CInt.self)
      let mask = rest.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
      let length = Int(rest.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
      guard length <= rest.count - 16 else { return }
      let name = String(decoding: rest[16..<16 + length].prefix { $0 != 0 }, as: UTF8.self)
      if mask & UInt32(IN_Q_OVERFLOW) != 0 {
        // The kernel dropped events.
        changed.formUnion(paths)
      } else if mask & UInt32(IN_IGNORED) != 0 {
        directories[watch] = nil
        for (path, number) in files where number == watch { files[path] = nil }
      } else if let names = directories[watch], let path = names[name] {
        changed.insert(path)
      } else {
        for (path, number) in files where number == watch { changed.insert(path) }
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[(16 + length)...])
    }
  }
}
