public import Link
internal import Synchronization
public import SystemIO
internal import SystemPackage
public import Wire

/// A frame connection on a loop thread that keeps every frame that comes, or none while it is stalled.
public final class FrameEndpoint: EventHandler, Sendable {
  public let connection: FrameConnection
  public let frames = Mailbox<ReceivedFrame>()
  /// Why the connection ended.
  public let end = Mailbox<FrameConnection.ReceiveError>()
  private let memory: Unshared

  // `@unchecked`: used on the loop's thread alone.
  private struct Unshared: @unchecked Sendable {
    let memory = ReceiveMemory()
  }

  public init(_ descriptor: consuming Descriptor, on thread: LoopThread, queueLimit: Int = 4 << 20) {
    connection = FrameConnection(descriptor, loop: thread.loop, queueLimit: queueLimit)
    memory = Unshared()
    thread.run { [self] in
      do {
        try connection.attach(self)
      } catch {
        preconditionFailure("a socket can be registered")
      }
    }
  }

  public func handle(_ events: Events) {
    if events.contains(.writable) { connection.flush() }
    do {
      try connection.receive(
        events, using: memory.memory,
        deliver: { bytes, header in
          frames.put(ReceivedFrame(header: header, payload: Array(bytes[FrameHeader.size...])))
        }, finish: {})
    } catch {
      end.put(error)
      connection.close()
    }
  }
}

extension FrameConnection {
  /// Reads once, and handles what was read in as many turns as that takes: more than one on a busy machine.
  public func receiveWhole(
    using memory: ReceiveMemory, deliver: (UnsafeMutableRawBufferPointer, FrameHeader) throws(WireError) -> Void
  ) throws(ReceiveError) {
    repeat { try receive(using: memory, deliver: deliver, finish: {}) } while hasRest
  }

  /// Sends frames that stand one behind the other in `bytes`.
  public func send(frames bytes: [UInt8], count: Int) {
    bytes.withUnsafeBytes { send(FrameRun($0, frames: count)) }
  }
}
