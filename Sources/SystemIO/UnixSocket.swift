internal import CLinux
internal import Glibc
public import SystemPackage

/// Who is at the other end of a local socket, as the kernel saw it when it connected.
public struct PeerCredentials: Sendable, Equatable {
  public let process: Int32
  public let user: UInt32
  public let group: UInt32
}

/// Why a local socket could not be listened on.
public enum UnixListenerError: Error, Sendable {
  /// A living process answers on it.
  case inUse(by: PeerCredentials)
  /// Something that is not a socket stands at the path.
  case notASocket
  /// A path is at most 107 bytes.
  case pathTooLong
  case system(Errno)
}

/// A listening local stream socket; its file is removed when the owner lets go of it.
public struct UnixListener: ~Copyable, Sendable {
  public let descriptor: Descriptor
  private let path: String
  private let inode: UInt64

  /// Listens at `path`. The directory is made if it is missing (mode 0755). A socket file that a killed process left is
  /// replaced; one that answers is not.
  ///
  /// Root can name the user that it will become (`Privileges`), who gets the socket. To remove it in the end, that user
  /// may remove its own files, and no others, from the directory: one that is made here, or one of root's that is
  /// `shared`, gets mode 01775 and the user's group.
  public init(
    path: String, mode: UInt32, for heir: User? = nil, shared: String? = nil
  ) throws(UnixListenerError) {
    guard let address = UnixAddress(path: path) else { throw .pathTooLong }
    do {
      let parent = parent(of: path)
      let isNew = try Directory.make(parent, mode: 0o755)
      if let heir, isNew || parent == shared { try share(parent, with: heir) }
      let directory = try openDirectory(parent)
      try takeTurn(directory)
      try Self.removeStale(path, address)
      let socket = try openUnixSocket()
      try checked { address.withSockaddr { bind(socket.raw, $0, $1) } }
      try checked { chmod(path, mode) }
      if let heir { try checked { lchown(path, heir.id, heir.group) } }
      try checked { listen(socket.raw, 512) }
      var status = stat()
      try checked { lstat(path, &status) }
      self.descriptor = socket
      self.path = path
      self.inode = UInt64(status.st_ino)
    } catch let error as Errno {
      throw .system(error)
    } catch let error as UnixListenerError {
      throw error
    } catch {
      fatalError("no other error is thrown here")
    }
  }

  deinit {
    // Another process may have put its own there, had ours been removed by hand.
    var status = stat()
    if lstat(path, &status) == 0, UInt64(status.st_ino) == inode { unlink(path) }
  }

  /// The next connection with its peer, or `nil` if none waits.
  public borrowing func accept() throws(Errno) -> Descriptor? {
    while true {
      if isInterrupted() { continue }
      if wouldBlock(descriptor.raw) { return nil }
      let result = clinux_accept(descriptor.raw, nil, nil)
      switch -result {
      case EAGAIN: return nil
      case EINTR, ECONNABORTED: continue
      default: return Descriptor(owning: try shim(result))
      }
    }
  }

  private static func removeStale(_ path: String, _ address: UnixAddress) throws {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw UnixListenerError.notASocket }
    let probe = try openUnixSocket()
    // A full backlog (EAGAIN) is a sign of life as well.
    do {
      try checked { address.withSockaddr { connect(probe.raw, $0, $1) } }
      throw UnixListenerError.inUse(by: try probe.peerCredentials())
    } catch Errno.resourceTemporarilyUnavailable {
      throw UnixListenerError.inUse(by: try probe.peerCredentials())
    } catch Errno.connectionRefused {
      // Nobody listens. Any other error (no permission, a socket of another type) says nothing about its owner's life.
      try checked { unlink(path) }
    }
  }
}

extension Descriptor {
  /// Connects to the local socket at `path`, at once or not at all.
  public static func connected(toUnix path: String) throws(Errno) -> Descriptor {
    guard let address = UnixAddress(path: path) else { throw Errno.fileNameTooLong }
    let socket = try openUnixSocket()
    try checked { address.withSockaddr { connect(socket.raw, $0, $1) } }
    return socket
  }

  /// As `connected(toUnix:)`, but waits for a place while too many connections wait to be accepted; throws `timedOut`
  /// at `deadline`.
  public static func connected(toUnix path: String, until deadline: Instant) throws(Errno) -> Descriptor {
    guard let address = UnixAddress(path: path) else { throw Errno.fileNameTooLong }
    let socket = try openUnixSocket()
    let flags = try checked { fcntl(socket.raw, F_GETFL) }
    try checked { fcntl(socket.raw, F_SETFL, flags & ~O_NONBLOCK) }
    while true {
      let left = deadline.since(.now()).nanoseconds / 1000
      guard left > 0 else { throw .timedOut }
      var time = timeval(tv_sec: Int(left / 1_000_000), tv_usec: Int(left % 1_000_000))
      try checked { setsockopt(socket.raw, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size)) }
      if address.withSockaddr({ connect(socket.raw, $0, $1) }) == 0 { break }
      guard errno == EAGAIN || errno == EINTR else { throw Errno(rawValue: errno) }
    }
    try checked { fcntl(socket.raw, F_SETFL, flags) }
    return socket
  }

  /// Who connected this local socket (SO_PEERCRED).
  public borrowing func peerCredentials() throws(Errno) -> PeerCredentials {
    var process: pid_t = 0
    var user: uid_t = 0
    var group: gid_t = 0
    try shim(clinux_peer_credentials(raw, &process, &user, &group))
    return PeerCredentials(process: process, user: user, group: group)
  }
}

/// Two local stream sockets, connected to each other. Frozen, so that its two ends can go to different owners.
@frozen public struct SocketPair: ~Copyable {
  public var first: Descriptor
  public var second: Descriptor

  public init() throws(Errno) {
    var pair: [CInt] = [0, 0]
    let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    try checked { socketpair(AF_UNIX, type, 0, &pair) }
    first = Descriptor(owning: pair[0])
    second = Descriptor(owning: pair[1])
  }

  /// Gives the first away and returns the second.
  public consuming func split(_ take: (consuming Descriptor) -> Void) -> Descriptor {
    take(first)
    return second
  }
}

/// A path as the kernel takes it.
private struct UnixAddress {
  private var storage = sockaddr_un()

  init?(path: String) {
    let bytes = Array(path.utf8)
    storage.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &storage.sun_path) { room in
      guard bytes.count < room.count, !bytes.contains(0) else { return false }
      room.copyBytes(from: bytes)
      return true
    }
    guard fits else { return nil }
  }

  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafeBytes(of: storage) {
      body($0.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t($0.count))
    }
  }
}

private func openUnixSocket() throws(Errno) -> Descriptor {
  let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
  return Descriptor(owning: try checked { socket(AF_UNIX, type, 0) })
}

private func parent(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

private func openDirectory(_ path: String) throws(Errno) -> Descriptor {
  Descriptor(owning: try checked { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
}

private func share(_ path: String, with user: User) throws(Errno) {
  let directory = try Directory(path)
  let owner = try directory.attributes().user
  guard owner == currentUser() else { return }
  try directory.setOwner(user: owner, group: user.group)
  try directory.setMode(0o1775)
}

/// Makes programs that start at once take turns; the lock goes with the descriptor. Anybody who may read the directory may
/// hold it, so the wait has an end.
private func takeTurn(_ directory: borrowing Descriptor) throws(Errno) {
  for _ in 0..<100 {
    if flock(directory.raw, LOCK_EX | LOCK_NB) == 0 { return }
    guard errno == EWOULDBLOCK || errno == EINTR else { throw Errno(rawValue: errno) }
    usleep(10_000)
  }
}
