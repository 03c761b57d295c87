internal import Synchronization
public import SystemPackage

/// Looks names up on threads of its own, so that no loop waits for DNS. One look-up per name and port runs at a time;
/// further `resolve` calls get its answer.
public final class Resolver: Sendable {
  public typealias Answer = Result<[SocketAddress], ResolveError>

  private struct Query: Hashable {
    let host: String
    let port: UInt16
  }

  // Guarded by its lock: the callbacks of each running look-up.
  private let waiting = Mutex<[Query: [@Sendable (Answer) -> Void]]>([:])

  public init() {}

  /// Calls `answer` on `loop` with the addresses of `host`, in the order to try them. The system's resolver bounds the
  /// wait (/etc/resolv.conf, 5 s a try by default).
  public func resolve(
    _ host: String, port: UInt16, on loop: EventLoop, _ answer: @escaping @Sendable (Answer) -> Void
  ) {
    if let address = SocketAddress(numeric: host, port: port) {
      loop.post { answer(.success([address])) }
      return
    }
    let query = Query(host: host, port: port)
    let isFirst = waiting.withLock { waiting in
      waiting[query, default: []].append { result in loop.post { answer(result) } }
      return waiting[query]?.count == 1
    }
    guard isFirst else { return }
    SystemThread.detach(name: "resolver") { [self] in
      let result = lookUp(host, port: port, numericOnly: false)
      let callbacks = waiting.withLock { $0.removeValue(forKey: query) }
      for callback in callbacks ?? [] { callback(result) }
    }
  }

  /// The addresses of `host` (getaddrinfo(3)). Blocks for as long as the system's resolver takes.
  public static func addresses(of host: String) -> Answer { lookUp(host, port: 0, numericOnly: false) }

  /// The addresses of `host`; `nil` if `deadline` passes first. Blocks.
  public static func resolve(_ host: String, port: UInt16, until deadline: Instant) throws(Errno) -> Answer? {
    if let address = SocketAddress(numeric: host, port: port) { return .success([address]) }
    let answer = try PendingValue<Answer>()
    SystemThread.detach(name: "resolver") { answer.put(lookUp(host, port: port, numericOnly: false)) }
    return answer.wait(until: deadline)
  }
}
