internal import Glibc
internal import Synchronization
public import SystemIO
internal import SystemPackage

/// Passes the bytes of one TCP connection at a time on to another port, and can stop to read what comes from the
/// connecting end, as a line without room would.
public final class StallingProxy: Sendable {
  public let address: SocketAddress
  private let target: SocketAddress
  private let isStalled = Atomic<Bool>(false)
  private let isOver = Atomic<Bool>(false)
  private let thread: Mutex<SystemThread?> = Mutex(nil)

  public init(to target: SocketAddress) throws {
    guard let anywhere = SocketAddress(numeric: "127.0.0.1", port: 0) else {
      preconditionFailure("loopback is an address")
    }
    let listener = try TCPListener(on: anywhere)
    // Connections have it from there: little room, so that a stall is soon felt.
    var room = CInt(64 << 10)
    setsockopt(listener.descriptor.raw, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<CInt>.size))
    address = listener.address
    self.target = target
    let holder = Holder(listener)
    thread.withLock { $0 = SystemThread.start(name: "proxy") { self.serve(holder) } }
  }

  // A closure cannot own what cannot be copied.
  private final class Holder: Sendable {
    let listener: TCPListener

    init(_ listener: consuming TCPListener) {
      self.listener = listener
    }
  }

  public func stall() { isStalled.store(true, ordering: .relaxed) }

  public func resume() { isStalled.store(false, ordering: .relaxed) }

  /// Ends the connection and the thread. Once only.
  public func stop() {
    isOver.store(true, ordering: .relaxed)
    thread.withLock { $0.take() }?.join()
  }

  private var goesOn: Bool { !isOver.load(ordering: .relaxed) }

  private func serve(_ holder: Holder) {
    while goesOn {
      guard let socket = try? holder.listener.accept() else {
        SystemIO.sleep(for: .milliseconds(1))
        continue
      }
      guard let onward = try? TCPSocket(connectingTo: target) else { continue }
      pass(socket.takeDescriptor(), onward.takeDescriptor())
    }
  }

  private func pass(_ near: consuming Descriptor, _ far: consuming Descriptor) {
    let buffer = RawBuffer(count: 64 << 10)
    while goesOn {
      var isIdle = true
      do {
        if !isStalled.load(ordering: .relaxed) {
          guard let isMoved = try move(near, far, buffer) else { return }
          if isMoved { isIdle = false }
        }
        guard let isMoved = try move(far, near, buffer) else { return }
        if isMoved { isIdle = false }
      } catch {
        return
      }
      if isIdle { SystemIO.sleep(for: .microseconds(200)) }
    }
  }

  /// Moves what is there; `nil` at the end of the stream.
  private func move(
    _ source: borrowing Descriptor, _ target: borrowing Descriptor, _ buffer: borrowing RawBuffer
  ) throws(Errno) -> Bool? {
    let count: Int?
    do {
      count = try source.read(into: buffer.bytes)
    } catch {
      // It is not connected yet.
      if error == .socketNotConnected { return false }
      throw error
    }
    guard let count else { return false }
    var sent = 0
    while sent < count, goesOn {
      let rest = UnsafeRawBufferPointer(rebasing: buffer.bytes[sent..<count])
      if let more = try target.send(rest) { sent += more } else { SystemIO.sleep(for: .microseconds(200)) }
    }
    return count > 0 ? true : nil
  }
}
