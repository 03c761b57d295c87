internal import CLinux
internal import Glibc
public import SystemPackage

/// Finds out whether packets of this host's kernel get to another one and back: by an ICMP echo, where this process may send one
/// (net.ipv4.ping_group_range), and by an attempt to connect to a port where nobody is expected. Needs no right.
public enum PacketProbe {
  public enum Answer: Sendable, Equatable {
    /// Something came back: the kernel there answers.
    case answered
    /// It answered a small packet, and none of this many bytes.
    case answeredSmall(Int)
    /// This host, or somebody on the way, refuses.
    case refused(Errno)
    /// Nothing came, neither to the echo, if there was one, nor to the attempt.
    case silent(triedEcho: Bool)
  }

  /// Discard (RFC 863): hardly anybody listens there, and who does will not mind.
  private static let port: UInt16 = 9
  /// How often the echo goes out again, and how often each way is looked at.
  private static let resend = Duration.milliseconds(400)
  private static let look = Duration.milliseconds(20)

  /// Blocks until an answer or `deadline`. `target` is an address of either family; its port does not matter. After the
  /// answer to a small echo request, it sends one of `mtu` bytes, headers included.
  public static func probe(_ target: SocketAddress, mtu: Int? = nil, until deadline: Instant) -> Answer {
    let echo = Echo(target)
    let attempt: TCPSocket
    do {
      attempt = try TCPSocket(connectingTo: target.with(port: port))
    } catch {
      return .refused(error)
    }
    var (nextEcho, hasConnected) = (Instant(nanoseconds: 0), false)
    /// The time limit of the small echo, once the connection attempt has shown that the kernel there answers.
    var echoDeadline: Instant?
    while true {
      let now = Instant.now()
      if let echoDeadline, now >= echoDeadline { return .answered }
      guard now < deadline else { return echoDeadline == nil ? .silent(triedEcho: echo.hasSent) : .answered }
      if now >= nextEcho {
        do { try echo.send() } catch { return .refused(error) }
        nextEcho = now.advanced(by: resend)
      }
      if echo.answer() != nil {
        guard let mtu, mtu > echo.headers else { return .answered }
        return isAnswered(echo, size: mtu, until: deadline) ? .answered : .answeredSmall(mtu)
      }
      if hasConnected {
        sleep(for: look)
      } else if (try? attempt.descriptor.wait(for: .writable, until: now.advanced(by: look))) == true {
        hasConnected = true
        switch attempt.descriptor.takeSocketError() {
        case nil, .connectionRefused?, .connectionReset?:
          guard echo.hasSent, mtu != nil else { return .answered }
          echoDeadline = now.advanced(by: resend)
        case let error? where error != .timedOut: return .refused(error)
        default: break
        }
      }
    }
  }

  private static func isAnswered(_ echo: borrowing Echo, size: Int, until deadline: Instant) -> Bool {
    var nextEcho = Instant(nanoseconds: 0)
    while true {
      let now = Instant.now()
      guard now < deadline else { return false }
      if now >= nextEcho {
        // A packet that this host does not send says nothing about the path.
        do { try echo.send(size: size) } catch { return true }
        nextEcho = now.advanced(by: resend)
      }
      if let answer = echo.answer(), answer + echo.headers >= size { return true }
      sleep(for: look)
    }
  }

  /// Sends ICMP echo requests of the target's family by an ICMP socket (icmp(7)); does nothing if this process may not
  /// have one.
  private struct Echo: ~Copyable {
    /// -1 if there is none.
    private let raw: CInt
    private let target: SocketAddress

    init(_ target: SocketAddress) {
      let type = CInt(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
      raw =
        target.isIPv6
        ? Glibc.socket(AF_INET6, type, CInt(IPPROTO_ICMPV6)) : Glibc.socket(AF_INET, type, CInt(IPPROTO_ICMP))
      self.target = target.with(port: 0)
    }

    deinit {
      if raw >= 0 { _ = Descriptor(owning: raw) }
    }

    var hasSent: Bool { raw >= 0 }

    /// Of IP and ICMP, in bytes.
    var headers: Int { target.isIPv6 ? 48 : 28 }

    /// Sends one of `size` bytes, headers of IP and ICMP included; `nil`: as short as possible.
    borrowing func send(size: Int? = nil) throws(Errno) {
      guard hasSent else { return }
      // Code 0; the kernel sees to the checksum and the identifier.
      let padding = [UInt8](repeating: 0, count: max(0, (size ?? 0) - headers))
      let request: [UInt8] = [target.isIPv6 ? 128 : 8, 0, 0, 0, 0, 0, 0, 1] + padding
      let result = target.withSockaddr { sendto(raw, request, request.count, CInt(MSG_NOSIGNAL), $0, target.length) }
      // An error of an earlier one may be told here; whether there is an answer is what counts.
      if result < 0, errno == EPERM || errno == EMSGSIZE { throw Errno(rawValue: errno) }
    }

    /// The number of bytes after the ICMP header of an answer; `nil`: no answer has arrived.
    borrowing func answer() -> Int? {
      guard hasSent else { return nil }
      var answer = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(raw, &answer, answer.count, 0)
      return count >= 8 && answer[0] == (target.isIPv6 ? 129 : 0) ? count - 8 : nil
    }
  }
}
