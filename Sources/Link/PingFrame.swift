internal import SystemIO
internal import Wire

/// Asking the other end for an echo: a ping that carries the time it was sent at, in nanoseconds, which only the
/// sender can make sense of and gets back in the pong.
public enum PingFrame {
  private static let payloadSize = 8

  /// How long ago the ping of this pong was sent; `nil` if it was not one of ours.
  public static func roundTrip(_ pong: UnsafeRawBufferPointer) -> Duration? {
    guard pong.count == payloadSize else { return nil }
    return Instant.now().since(Instant(nanoseconds: pong.loadUnaligned(as: UInt64.self)))
  }

  fileprivate static func ping() -> [UInt8] {
    withUnsafeBytes(of: Instant.now().nanoseconds) { frame(.ping, payload: $0) }
  }

  fileprivate static func frame(_ type: FrameType, payload: UnsafeRawBufferPointer) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.withUnsafeMutableBytes { FrameHeader(type: type, length: payload.count).write(to: $0) }
    return frame + payload
  }
}

// On the loop's thread.
extension FrameConnection {
  /// Asks for an echo.
  public func sendPing() {
    keepalive.hasAsked()
    send(control: PingFrame.ping())
  }

  /// Answers a ping with the payload that it had.
  public func send(pongFor payload: UnsafeRawBufferPointer) {
    keepalive.wasAsked()
    send(control: PingFrame.frame(.pong, payload: payload))
  }
}
