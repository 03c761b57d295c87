internal import CLinux
internal import Glibc
public import SystemPackage

/// The process at the other end of a local socket, as of when it connected (SO_PEERCRED).
public struct PeerCredentials: Sendable, Equatable {
  public let process: Int32
  public let user: UInt32
  public let group: UInt32
}

/// Why a local socket could not be listened on.
public enum UnixListenerError: Error, Sendable {
  /// A living process answers on it.
  case inUse(by: PeerCredentials)
  /// The file at the path is not a socket.
  case notASocket
  /// A path has at most 107 bytes.
  case pathTooLong
  case system(Errno)
}

/// A listening local stream socket; its file is removed when the owner lets go of it.
public struct UnixListener: ~Copyable, Sendable {
  public let descriptor: Descriptor
  private let path: String
  private let inode: UInt64

  /// Listens at `path`. Makes the directory if it is missing (mode 0755). Replaces the socket file of a killed process,
  /// but not one that answers.
  ///
  /// Root can name the user that it will become (`Privileges`); the socket then belongs to that user. To remove it in
  /// the end, the user must be able to remove its own files, and no others, from the directory: a directory that is
  /// made here, or root's own at `shared`, gets mode 01775 and the user's group.
  public init(
    path: String, mode: UInt32, for heir: User? = nil, shared: String? = nil
  ) throws(UnixListenerError) {
    guard let address = UnixAddress(path: path) else { throw .pathTooLong }
    do {
      let parent = splitPath(path).directory
      let isNew = try Directory.make(parent, mode: 0o755)
      if let heir, isNew || parent == shared { try Directory(parent).share(with: heir) }
      let turn = try Self.takeTurn(parent)
      try Self.removeStale(path, address)
      let socket = try Descriptor(socket: AF_UNIX, SOCK_STREAM)
      try checked { address.withSockaddr { bind(socket.raw, $0, $1) } }
      try checked { chmod(path, mode) }
      if let heir { try checked { lchown(path, heir.id, heir.group) } }
      try checked { listen(socket.raw, 512) }
      var status = stat()
      try checked { lstat(path, &status) }
      self.descriptor = socket
      self.path = path
      self.inode = UInt64(status.st_ino)
      _ = consume turn
    } catch let error as Errno {
      throw .system(error)
    } catch let error as UnixListenerError {
      throw error
    } catch {
      fatalError("no other error is thrown here")
    }
  }

  deinit {
    // Another process may have replaced the file.
    var status = stat()
    if lstat(path, &status) == 0, UInt64(status.st_ino) == inode { unlink(path) }
  }

  /// The next connection, or `nil` if none waits.
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

  /// Makes programs that start at once take turns: the lock goes with the descriptor. Waits one second at most, because
  /// anybody who can read the directory can lock it.
  private static func takeTurn(_ directory: String) throws(Errno) -> Descriptor {
    let descriptor = try Descriptor { open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    _ = try descriptor.lock(within: .seconds(1))
    return descriptor
  }

  private static func removeStale(_ path: String, _ address: UnixAddress) throws {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw UnixListenerError.notASocket }
    let probe = try Descriptor(socket: AF_UNIX, SOCK_STREAM)
    do {
      try checked { address.withSockaddr { connect(probe.raw, $0, $1) } }
    } catch {
      // Only this error shows that nobody listens; others are a matter of rights or of the socket's type.
      if error == .connectionRefused {
        try checked { unlink(path) }
        return
      }
      // A full backlog shows a living daemon as well.
      guard error == .resourceTemporarilyUnavailable else { throw error }
    }
    throw UnixListenerError.inUse(by: try probe.peerCredentials())
  }
}

extension Descriptor {
  /// Connects to the local socket at `path`: at once or not at all, or with a `deadline`. Then it waits while too many
  /// connections wait to be accepted, and throws `timedOut` at the deadline.
  public static func connected(toUnix path: String, until deadline: Instant? = nil) throws(Errno) -> Descriptor {
    guard let address = UnixAddress(path: path) else { throw Errno.fileNameTooLong }
    let socket = try Descriptor(socket: AF_UNIX, SOCK_STREAM, isBlocking: deadline != nil)
    guard let deadline else {
      try checked { address.withSockaddr { connect(socket.raw, $0, $1) } }
      return socket
    }
    while true {
      let left = deadline.since(.now()).nanoseconds / 1000
      guard left > 0 else { throw .timedOut }
      let time = timeval(tv_sec: Int(left / 1_000_000), tv_usec: Int(left % 1_000_000))
      try socket.setOption(SOL_SOCKET, SO_SNDTIMEO, time)
      if address.withSockaddr({ connect(socket.raw, $0, $1) }) == 0 { break }
      guard errno == EAGAIN || errno == EINTR else { throw Errno(rawValue: errno) }
    }
    let flags = try checked { fcntl(socket.raw, F_GETFL) }
    try checked { fcntl(socket.raw, F_SETFL, flags | O_NONBLOCK) }
    return socket
  }

  /// The process that connected this local socket.
  public borrowing func peerCredentials() throws(Errno) -> PeerCredentials {
    var (process, user, group) = (pid_t(), uid_t(), gid_t())
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

/// A local socket's address as the kernel takes it.
struct UnixAddress {
  private var storage = sockaddr_un()
  private let length: socklen_t

  /// `nil` if the path is too long or contains a zero byte. With `mayBeAbstract`, a leading @ stands for the zero byte
  /// of an abstract name.
  init?(path: String, mayBeAbstract: Bool = false) {
    var bytes = Array(path.utf8)
    let room = MemoryLayout.size(ofValue: storage.sun_path)
    guard bytes.count < room, !bytes.contains(0) else { return nil }
    length = socklen_t(MemoryLayout<sa_family_t>.size + (mayBeAbstract ? bytes.count : room))
    if mayBeAbstract, bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
    storage.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &storage.sun_path) { $0.copyBytes(from: bytes) }
  }

  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafeBytes(of: storage) { body($0.assumingMemoryBound(to: sockaddr.self).baseAddress!, length) }
  }
}
