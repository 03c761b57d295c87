internal import Link
internal import SystemIO
internal import SystemPackage
public import Wire

/// Who uses an uplink. Called on the loop.
protocol UplinkDelegate: AnyObject {
  /// The relay lets this device in.
  func uplinkJoined(_ welcome: Welcome)
  func uplinkReceived(_ message: ControlMessage)
  /// A data frame's payload, good for this call.
  func uplinkReceived(_ payload: UnsafeRawBufferPointer, from source: IPv4Address)
  /// An attempt or a connection has ended; the next attempt comes after `retry`.
  func uplinkLost(_ reason: UplinkLoss, retry: Duration)
}

/// Why there is no connection to the relay, or none any more.
public enum UplinkLoss: Error, Sendable, CustomStringConvertible {
  /// No server took the connection; what went wrong with each.
  case unreachable([String])
  /// The relay said no.
  case refused(Refusal)
  /// The connection broke.
  case broken(String)

  public var description: String {
    switch self {
    case .unreachable(let failures): failures.joined(separator: "; ")
    case .refused(let refusal): refusal.text
    case .broken(let why): why
    }
  }
}

/// The one connection to the relay, made anew for as long as it takes. Owned by the device's thread.
final class Uplink: EventHandler, DialerDelegate {
  // Set once.
  private let settings: DeviceSettings
  private let events: EventLoop
  private let memory = ReceiveMemory()
  private let resolver = Resolver()
  private let instance: String
  private unowned let delegate: any UplinkDelegate

  private var phase = Phase.idle
  private var backoff = Backoff()
  private var generation = 0
  private var lastAddress: IPv4Address?
  private(set) var roundTrip: Duration?
  private(set) var server: String?

  private enum Phase {
    case idle
    case dialing(Dialer)
    case joining(FrameConnection)
    case joined(FrameConnection, since: Instant, keepalive: Duration)
    case ended
  }

  /// Times out of proportion, whatever a relay says.
  private static let keepaliveRange = 100...600_000
  /// A connection that has held for so long was a good one, and the next attempt need not wait.
  private static let stableAfter = Duration.seconds(60)

  init(_ settings: DeviceSettings, on events: EventLoop, delegate: any UplinkDelegate) {
    self.settings = settings
    self.events = events
    self.delegate = delegate
    var random = SystemRandomNumberGenerator()
    instance = String(random.next(), radix: 16) + String(random.next(), radix: 16)
  }

  /// The connection, while this device is in.
  var connection: FrameConnection? {
    if case .joined(let connection, _, _) = phase { connection } else { nil }
  }

  /// What it is about.
  var progress: String {
    switch phase {
    case .idle: "waiting before the next attempt"
    case .dialing(let dialer): dialer.progress
    case .joining: "waiting for \(server ?? "the relay") to answer the join request"
    case .joined: "joined"
    case .ended: "ended"
    }
  }

  // MARK: Making the connection

  func connect() {
    switch settings.route {
    case .servers(let servers):
      let dialer = Dialer(servers, on: events, resolver, delegate: self)
      phase = .dialing(dialer)
      dialer.start()
    case .local(let open):
      do {
        dialed(try open(), name: "this host")
      } catch {
        lose(.broken("\(error)"))
      }
    }
  }

  func dialFailed(_ failures: [String]) {
    lose(.unreachable(failures))
  }

  func dialed(_ descriptor: consuming Descriptor, name: String) {
    server = name
    do {
      try descriptor.tune(.frames)
      let connection = FrameConnection(descriptor, loop: events, queueLimit: settings.queueLimit)
      phase = .joining(connection)
      try connection.attach(self)
      let request = JoinRequest(
        deviceID: settings.deviceID, instance: instance, address: settings.address ?? lastAddress,
        addressRequired: settings.address == nil ? nil : true)
      connection.send(control: ControlMessage.join(request).frame(.handshake))
    } catch {
      return lose(.broken("\(error)"))
    }
    let generation = generation
    events.schedule(after: DeviceSettings.joinTimeout) { [weak self] in
      guard let self, self.generation == generation, case .joining = self.phase else { return }
      self.lose(.broken("\(name) did not answer the join request within \(Int(DeviceSettings.joinTimeout.seconds)) s"))
    }
  }

  // MARK: What comes in

  func handle(_ events: Events) {
    let connection: FrameConnection
    switch phase {
    case .joining(let current), .joined(let current, _, _): connection = current
    default: return
    }
    if events.contains(.writable) { connection.flush() }
    guard events.contains(.readable) || events.contains(.hangup) else { return }
    do {
      try connection.receive(
        using: memory,
        deliver: { frame, header throws(WireError) in try accept(UnsafeRawBufferPointer(frame), header) },
        finish: {})
    } catch {
      switch error {
      case .closed: lose(.broken("the relay closed the connection"))
      case .system(let errno): lose(.broken("\(errno)"))
      case .wire(let problem): lose(.broken("the relay sent \(problem)"))
      }
    }
  }

  private func accept(_ frame: UnsafeRawBufferPointer, _ header: FrameHeader) throws(WireError) {
    let payload = UnsafeRawBufferPointer(rebasing: frame[FrameHeader.size...])
    switch (phase, header.type) {
    case (.joined, .data):
      delegate.uplinkReceived(payload, from: header.address)
    case (.joining(let connection), .control):
      try enter(connection, try ControlMessage.decode(payload))
    case (.joined, .control):
      guard let message = try ControlMessage.decode(payload) else { return }
      if case .refused(let refusal) = message { lose(.refused(refusal)) } else { delegate.uplinkReceived(message) }
    case (.joining(let connection), .ping), (.joined(let connection, _, _), .ping):
      connection.send(pongFor: payload)
    case (.joined, .pong):
      learn(from: payload)
    case (.idle, _), (.dialing, _), (.ended, _):
      break  // The rest of what came with the last word.
    default:
      throw .unexpectedFrame(header.type)
    }
  }

  private func enter(_ connection: FrameConnection, _ message: ControlMessage?) throws(WireError) {
    switch message {
    case .welcome(let welcome):
      guard welcome.version == protocolVersion, welcome.isPlausible else {
        throw .badMessage("a welcome to \(welcome.pool) as \(welcome.address) makes no sense")
      }
      lastAddress = welcome.address
      let keepalive = Duration.milliseconds(
        min(max(welcome.keepalive, Self.keepaliveRange.lowerBound), Self.keepaliveRange.upperBound))
      phase = .joined(connection, since: .now(), keepalive: keepalive)
      delegate.uplinkJoined(welcome)
      connection.sendPing()
      checkLater(generation, keepalive)
    case .refused(let refusal):
      lose(.refused(refusal))
    case nil: break
    default: throw .badMessage("a welcome was due")
    }
  }

  // MARK: Signs of life

  private func checkLater(_ generation: Int, _ keepalive: Duration) {
    events.schedule(after: keepalive / 2) { [weak self] in
      guard let self, self.generation == generation, let connection = self.connection else { return }
      connection.trim()
      let silence = Instant.now().since(connection.lastReceived)
      if silence >= keepalive * 3 {
        self.lose(.broken("no sign of life from the relay for \(Int(silence.seconds)) s"))
      } else {
        if silence >= keepalive { connection.sendPing() }
        self.checkLater(generation, keepalive)
      }
    }
  }

  private func learn(from pong: UnsafeRawBufferPointer) {
    roundTrip = PingFrame.roundTrip(pong)
  }

  // MARK: The end

  /// Ends the connection and schedules the next attempt.
  private func lose(_ reason: UplinkLoss) {
    let former = phase
    phase = .idle
    generation += 1
    roundTrip = nil
    switch former {
    case .ended:
      phase = .ended
      return
    case .idle: break
    case .dialing(let dialer): dialer.cancel()
    case .joining(let connection): connection.close()
    case .joined(let connection, let since, _):
      connection.close()
      if Instant.now().since(since) >= Self.stableAfter { backoff.reset() }
    }
    let wait = backoff.wait()
    let generation = generation
    events.schedule(after: wait) { [weak self] in
      guard let self, self.generation == generation, case .idle = self.phase else { return }
      self.connect()
    }
    delegate.uplinkLost(reason, retry: wait)
  }

  /// Says goodbye and makes no further attempt.
  func end() {
    switch phase {
    case .idle, .ended: break
    case .dialing(let dialer): dialer.cancel()
    case .joining(let connection): connection.close()
    case .joined(let connection, _, _):
      connection.send(control: ControlMessage.leave.frame())
      connection.close()
    }
    phase = .ended
    generation += 1
  }
}
