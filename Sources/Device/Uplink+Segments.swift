internal import Link
internal import Noise
internal import SystemIO
internal import SystemPackage
internal import Tun
internal import Wire

// A link on the path may have a smaller MTU than this host knows, while a firewall drops the ICMP messages that say so.
// Then the kernel retransmits its large segments in vain, while small packets arrive. Neither end can make the segments
// of an open connection smaller, so the device makes a new connection with smaller segments, which limits the relay's
// segments as well.
extension Uplink {
  /// A handshake that shows whether large packets get through.
  struct Trial {
    /// Of segments of this size.
    let segment: Int
    /// How long the answer may take: several retransmissions, and longer where the relay may just be busy.
    let patience: Duration
    /// Carried by the handshake's first message, and by the relay's answer: enough for two packets, as far as the
    /// protocol allows.
    var padding: [UInt8] { [UInt8](repeating: 0, count: min(segment * 2, HandshakeHello.maximumPadding)) }

    fileprivate static let shortest = Duration.seconds(2)
  }

  func segmentLimit(for address: SocketAddress) -> Int? {
    // A path from another address of this host may have another MTU.
    segmentPath = "\(address) from \(pathFinder?.path(to: address)?.source ?? [])"
    segmentLimit = segments.limit(for: segmentPath, at: .now())
    return segmentLimit
  }

  /// The trial that a new connection has to pass, if any.
  func trial(of descriptor: borrowing Descriptor) -> Trial? {
    guard segments.isInDoubt(segmentPath), let path = descriptor.tcpPath() else { return nil }
    let shortest = segments.isSuspected(segmentPath) ? Trial.shortest : Trial.shortest * 2
    return Trial(segment: path.segment, patience: max(shortest, path.longRoundTrip * 8))
  }

  /// The answer of a trial did not come in time.
  func end(_ trial: Trial, _ connection: FrameConnection) {
    let name = server ?? "the relay"
    let size = "TCP segments of \(trial.segment) bytes"
    let what = "\(name) does not answer packets with \(size)"
    let isLost = connection.sizeProblem(at: .now()) != nil
    let hasArrived = connection.hasDelivered
    if segments.noteUnanswered(segmentPath, segment: trial.segment, isLost: isLost) {
      let next = "smaller ones are tried next"
      lose(
        .broken(
          hasArrived
            ? "\(name) receives \(size), but does not answer: its program is stuck, or its large packets get lost; "
              + next
            : "\(what); \(next), as the path's MTU may be small"), soon: true)
    } else {
      lose(.broken("\(what), nor larger ones: its program is stuck, or the path loses nearly everything"))
    }
  }

  /// The answer of a trial has come, with `padding` bytes. False: the device has ended this connection to try one with
  /// larger segments.
  func passed(_ trial: Trial, padding: Int) -> Bool {
    let name = server ?? "the relay"
    let isBothWays = padding >= trial.padding.count
    switch segments.noteAnswered(segmentPath, isBothWays: isBothWays, at: .now()) {
    case .settled(nil): return true
    case .settled(let limit?):
      device.onEvent(
        .warning(
          """
          packets with TCP segments of more than \(limit) bytes do not get through between this host and \(name), so \
          larger ones are not sent for an hour: a link on the path has a smaller MTU than this host's, and a firewall \
          drops the ICMP messages about it; let those through, or lower the MTU of this host's link
          """))
      return true
    case .again:
      let size = "segments of \(trial.segment) bytes"
      lose(.broken("\(name) answers packets with \(size); larger ones are tried once more"), soon: true)
      return false
    }
  }

  /// Finds out whether a connection that ends for `reason` was stuck because its large packets got lost. Returns the
  /// better reason if that is certain.
  func sizeProblem(of connection: FrameConnection, behind reason: UplinkLoss) -> UplinkLoss? {
    switch reason {
    case .broken: break
    case .refused(let refusal) where refusal.code == .silent: break
    case .refused, .unreachable, .distrusted, .collision, .publicPool: return nil
    }
    let now = Instant.now()
    guard let path = connection.path else { return nil }
    let problem = connection.sizeProblem(at: now)
    guard problem != nil || connection.isAnswerOverdue else { return nil }
    segments.doubt(segmentPath, segment: path.segment, isSure: problem != nil, at: now)
    return problem.map { .broken($0.text("the relay")) }
  }
}
