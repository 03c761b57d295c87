import Glibc
import Link
import Synchronization
import SystemIO
import SystemPackage
import TestSupport
import Wire

/// All the clients, and what arrives at them. Owned by the loop's thread but for what says otherwise.
final class Load: @unchecked Sendable {
  // Set once.
  let loop: EventLoop

  // Owned by the loop's thread.
  let memory = ReceiveMemory()
  private(set) var received = 0
  private(set) var lastArrival = Instant.now()
  private(set) var lastNews = Instant.now()
  private var latencies: [UInt64] = []
  private var joinedCount = 0
  private var wanted = 0
  private var relay: SocketAddress?
  private var answers: Shooter?
  /// Sends anew for each few frames that want no answer, while so many are to be under way.
  private var refill: Shooter?
  /// What it sends.
  private var refillKind = Shooter.Kind.question
  private var answersToReplace = 0
  private var failure: String?

  /// Added to by the loop's thread until all have joined, and the same from then on.
  private(set) var clients: [LoadClient] = []

  /// How many may be about to join at once.
  private static let joiningAtOnce = 128

  init(on loop: EventLoop) {
    self.loop = loop
  }

  // MARK: On the loop's thread

  /// Lets `count` devices join, some at a time.
  func join(_ count: Int, _ relay: SocketAddress) {
    wanted = count
    self.relay = relay
    clients.reserveCapacity(count)
    joinMore()
  }

  private func joinMore() {
    guard let relay, failure == nil else { return }
    while clients.count < wanted, clients.count - joinedCount < Self.joiningAtOnce {
      do {
        clients.append(try LoadClient(joining: relay, clients.count, self))
      } catch {
        return fail("client \(clients.count) cannot connect: \(error)")
      }
    }
  }

  func joined() {
    joinedCount += 1
    heardNews()
    joinMore()
  }

  var isComplete: Bool { wanted > 0 && joinedCount == wanted }

  func heardNews() {
    lastNews = .now()
  }

  /// A question is answered; an answer makes room for the next question, if so many are to be under way.
  func arrived(_ payload: UnsafeRawBufferPointer, at client: LoadClient, from sender: IPv4Address) {
    let now = Instant.now()
    received += 1
    lastArrival = now
    latencies.append(now.nanoseconds - Shooter.time(of: payload))
    if Shooter.isQuestion(payload) {
      answers?.answer(to: sender, from: client)
    } else {
      answersToReplace += 1
      guard answersToReplace == Shooter.maximumPeers else { return }
      answersToReplace = 0
      refill?.send(refillKind, to: Shooter.maximumPeers)
    }
  }

  func fail(_ why: String) {
    failure = failure ?? why
  }

  // MARK: On another thread, which waits

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Waits until `condition` holds, which is asked on the loop's thread; throws if a client has failed, or after two
  /// minutes.
  func waitUntil(_ condition: @escaping @Sendable (Load) -> Bool) throws {
    let deadline = Instant.now().advanced(by: .seconds(120))
    while true {
      let (isMet, failure) = ask { ($0.failure == nil && condition($0), $0.failure) }
      if isMet { return }
      if let failure { throw Failure(description: failure) }
      guard Instant.now() < deadline else {
        throw Failure(description: "nothing has come of it for two minutes (\(ask { $0.joinedCount }) joined)")
      }
      sleep(for: .milliseconds(10))
    }
  }

  /// Waits until nothing arrives any more.
  func settle() throws {
    let began = Instant.now()
    try waitUntil { Instant.now().since(max(began, $0.lastArrival)) >= .milliseconds(500) }
  }

  /// Forgets what has arrived so far; payloads have `size` bytes from now on.
  func begin(_ size: Int) {
    let clients = clients
    ask { load in
      load.received = 0
      load.latencies.removeAll(keepingCapacity: true)
      load.answers = Shooter(clients, size: size)
    }
  }

  /// What has arrived since, and the latencies in nanoseconds, sorted.
  func results() -> (sent: Int, received: Int, latencies: [UInt64]) {
    let (received, latencies, answers) = ask { ($0.received, $0.latencies, $0.answers?.sent ?? 0) }
    return (answers, received, latencies.sorted())
  }

  /// Has `rate` frames a second sent at random times, half of them answers. Returns how many questions there were.
  func pace(_ rate: Int, for time: Duration, size: Int) -> Int {
    let shooter = Shooter(clients, size: size)
    var random = FixedRandom(seed: 7)
    var next = Instant.now()
    let end = next.advanced(by: time)
    let mean = 2 / Double(rate)
    while next < end {
      let now = Instant.now()
      if now < next { sleep(for: next.since(now)) }
      shooter.send(.question, to: 1)
      // Times between events that know nothing of each other.
      next = next.advanced(by: .seconds(-mean * log(Double.random(in: .leastNonzeroMagnitude..<1, using: &random))))
    }
    return shooter.sent
  }

  /// Keeps `window` frames under way, in runs from one client to several: questions and their answers, or frames that
  /// want none. Returns how many there were, answers not counted.
  func fill(_ window: Int, with kind: Shooter.Kind, for time: Duration, size: Int) -> Int {
    let clients = clients
    ask { load in
      load.refill = Shooter(clients, size: size)
      load.refillKind = kind
      load.answersToReplace = 0
      for _ in 0..<window / Shooter.maximumPeers { load.refill?.send(kind, to: Shooter.maximumPeers) }
    }
    sleep(for: time)
    return ask { load in
      defer { load.refill = nil }
      return load.refill?.sent ?? 0
    }
  }

  @discardableResult
  private func ask<Answer: Sendable>(_ body: @escaping @Sendable (Load) -> Answer) -> Answer {
    let answer = Mailbox<Answer>()
    loop.post { answer.put(body(self)) }
    guard let first = answer.waitFor(1).first else { preconditionFailure("the loop does not answer") }
    return first
  }
}

/// Sends frames, which say when they were sent and whether they want an answer. Owned by one thread.
final class Shooter {
  private let clients: [LoadClient]
  private let frames: RawBuffer
  private let frameSize: Int
  private var random = FixedRandom(seed: 42)
  private(set) var sent = 0

  /// Whether a frame is to be answered.
  enum Kind: UInt64 {
    case answer = 0
    case question = 1
  }

  /// What a payload says of itself: the time in nanoseconds, and its kind.
  static let payloadSize = 16
  /// How many peers a client may ask in one call.
  static let maximumPeers = 8

  static func time(of payload: UnsafeRawBufferPointer) -> UInt64 { payload.loadUnaligned(as: UInt64.self) }

  static func isQuestion(_ payload: UnsafeRawBufferPointer) -> Bool {
    payload.loadUnaligned(fromByteOffset: 8, as: UInt64.self) == Kind.question.rawValue
  }

  init(_ clients: [LoadClient], size: Int) {
    self.clients = clients
    frameSize = FrameHeader.size + size
    frames = RawBuffer(count: Self.maximumPeers * frameSize)
    frames.bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Sends frames from one client, whichever, to so many others in one call.
  func send(_ kind: Kind, to count: Int) {
    let from = Int.random(in: 0..<clients.count, using: &random)
    for index in 0..<count {
      let to = (from + Int.random(in: 1..<clients.count, using: &random)) % clients.count
      write(at: index, from: clients[from], to: clients[to].address, kind)
    }
    send(count, from: clients[from])
  }

  func answer(to address: IPv4Address, from client: LoadClient) {
    write(at: 0, from: client, to: address, .answer)
    send(1, from: client)
  }

  private func write(at index: Int, from client: LoadClient, to address: IPv4Address, _ kind: Kind) {
    let start = index * frameSize
    let frame = UnsafeMutableRawBufferPointer(rebasing: frames.bytes[start..<start + frameSize])
    let header = FrameHeader(
      type: .data, length: frameSize - FrameHeader.size, address: address,
      flow: UInt16(truncatingIfNeeded: client.address.bits &* 31 &+ address.bits))
    header.write(to: frame)
    frame.storeBytes(of: Instant.now().nanoseconds, toByteOffset: FrameHeader.size, as: UInt64.self)
    frame.storeBytes(of: kind.rawValue, toByteOffset: FrameHeader.size + 8, as: UInt64.self)
  }

  private func send(_ count: Int, from client: LoadClient) {
    let run = UnsafeRawBufferPointer(rebasing: frames.bytes[..<(count * frameSize)])
    client.connection.send(FrameRun(run, frames: count))
    sent += count
  }
}
