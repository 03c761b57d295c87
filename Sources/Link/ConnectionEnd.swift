internal import SystemIO
public import SystemPackage
public import Wire

extension FrameConnection {
  /// Why `receive` ended a connection.
  public enum ReceiveError: Error, Sendable {
    /// The other end closed it.
    case closed
    /// This end closed it, because the other one does not read even control frames.
    case unread
    case system(Errno)
    case wire(WireError)
    /// The other end has sent more control, ping and pong frames than this many a second for too long.
    case flood(perSecond: Int)
  }

  /// Why `check` ended a connection.
  public enum Lifelessness: Error, Sendable {
    /// Nothing was received for this time, not even the answer to an echo request.
    case silent(Duration)
    /// The same, although the other end's kernel has received the ping.
    case unanswered(Duration)
    /// The rest of a frame was not received for this time.
    case stalled(Duration)
    /// Small packets get through, and large ones do not.
    case blocked(SizeProblem)
  }
}

// Texts for people: which end closed a connection, and why. `other` names the other end, such as `the relay`.

extension FrameConnection.ReceiveError {
  public func text(_ other: String) -> String {
    switch self {
    case .closed:
      "\(other) closed the connection without giving a reason (its program was killed, or a NAT or firewall between "
        + "ended it)"
    case .unread: "closed from here, because \(other) does not read what is sent to it"
    case .system(.connectionReset), .system(.brokenPipe):
      "the connection was reset by \(other) or by a NAT or firewall between"
    case .system(.timedOut):
      "\(other) has acknowledged nothing for too long: the path is broken, or its program does not read"
    case .system(let errno): "the connection broke: \(errno)"
    case .wire(let problem): "\(other) sent \(problem)"
    case .flood(let perSecond):
      "\(other) sent more than \(perSecond) control, ping and pong frames a second for "
        + "\(Int(ControlRate.patience.seconds)) s"
    }
  }
}

extension FrameConnection.Lifelessness {
  public func text(_ other: String) -> String {
    switch self {
    case .silent(let time):
      "nothing came from \(other) for \(Int(time.seconds)) s, not even the answer to an echo request"
    case .unanswered(let time):
      "\(other) got an echo request and nothing came from it for \(Int(time.seconds)) s: its program is stuck, or "
        + "large packets from it are lost (the path's MTU)"
    case .stalled(let time):
      "\(other) sent the beginning of a frame, and not its rest for \(Int(time.seconds)) s"
    case .blocked(let problem): problem.text(other)
    }
  }
}

/// The largest packets of a connection are lost on its path, and small ones are not.
public struct SizeProblem: Error, Sendable, Equatable {
  public enum Direction: Sendable { case outgoing, incoming }

  public let direction: Direction
  /// The largest segment that this end sends, in bytes without headers.
  public let segment: Int
  /// The path's MTU in bytes, as far as the kernel knows.
  public let mtu: Int

  /// How often in a row the oldest data was lost, which takes more than a second, while other bytes were received.
  private static let timeouts = 3
  private static let recently = Duration.seconds(3)

  /// Judges by the kernel's facts and the unanswered ping, if there is one; `heard`: how long ago bytes were last
  /// received. `nil`: there is no such problem.
  init?(_ path: TCPPath, _ ping: EchoWatch?, heard: Duration) {
    if path.timeouts >= Self.timeouts, min(path.acknowledged, heard) <= Self.recently {
      direction = .outgoing
    } else if ping?.isIncomingBlocked(path) == true {
      direction = .incoming
    } else {
      return nil
    }
    segment = path.segment
    mtu = path.mtu
  }

  public func text(_ other: String) -> String {
    let direction = direction == .outgoing ? "to \(other)" : "from \(other)"
    return
      "small packets \(direction) arrive and large ones do not: a link on the path seems to have a smaller MTU than "
      + "the \(mtu) bytes that this host knows of, and a firewall drops the ICMP messages about it"
  }
}
