internal import SystemIO
internal import SystemPackage

/// Somebody who asks for names by TCP: each message behind its length in two bytes, one after the other. Owned by the main
/// thread.
final class NameConnection: EventHandler {
  // Set once.
  let since = Instant.now()
  private let socket: Descriptor
  private let events: EventLoop
  private let answer: ([UInt8], @escaping ([UInt8]?) -> Void) -> Void
  private let onEnd: (NameConnection) -> Void

  // Owned by the main thread.
  private var registration: Registration?
  private var timer: Timer?
  private var input: [UInt8] = []
  private var output: [UInt8] = []
  /// Whether an answer is awaited; until it is sent, nothing more is read.
  private(set) var isAnswering = false

  /// How long a question may take to come, and its answer to be taken.
  private static let patience = Duration.seconds(5)
  /// No question is as long.
  private static let maximumMessage = 4096

  init(
    _ socket: consuming Descriptor, on events: EventLoop,
    answer: @escaping ([UInt8], @escaping ([UInt8]?) -> Void) -> Void, onEnd: @escaping (NameConnection) -> Void
  ) {
    self.socket = socket
    self.events = events
    self.answer = answer
    self.onEnd = onEnd
  }

  func start() {
    do {
      registration = try events.register(socket, for: .readable, handler: self)
      beWatched()
    } catch {
      close()
    }
  }

  func close() {
    if let registration { events.deregister(socket, registration) }
    if let timer { events.cancel(timer) }
    registration = nil
    timer = nil
    onEnd(self)
  }

  private func beWatched() {
    if let timer { events.cancel(timer) }
    timer = events.schedule(after: Self.patience) { [weak self] in self?.close() }
  }

  func handle(_ events: Events) {
    guard registration != nil else { return }
    if events.contains(.hangup) { return close() }
    if events.contains(.writable), !output.isEmpty { return write() }
    if events.contains(.readable), !isAnswering { read() }
  }

  private func read() {
    var buffer = [UInt8](repeating: 0, count: 2048)
    let count: Int?
    do {
      count = try buffer.withUnsafeMutableBytes { bytes in try socket.read(into: bytes) }
    } catch {
      return close()
    }
    guard let count else { return }
    if count == 0 { return close() }
    input += buffer[..<count]
    next()
  }

  /// Answers the first question that is there whole.
  private func next() {
    guard registration != nil, !isAnswering, input.count >= 2 else { return }
    let length = Int(input[0]) << 8 | Int(input[1])
    guard length <= Self.maximumMessage else { return close() }
    guard input.count >= 2 + length else { return }
    let message = Array(input[2..<2 + length])
    input.removeFirst(2 + length)
    isAnswering = true
    // Nothing is read meanwhile, so that nothing piles up.
    setInterest([])
    answer(message) { [weak self] answer in
      guard let self, self.registration != nil else { return }
      guard let answer else { return self.close() }
      self.output = [UInt8(answer.count >> 8), UInt8(answer.count & 0xFF)] + answer
      self.write()
    }
  }

  private func write() {
    do {
      while !output.isEmpty {
        let count = try output.withUnsafeBytes { bytes in try socket.send(bytes) }
        guard let count else { return setInterest(.writable) }
        output.removeFirst(count)
      }
    } catch {
      return close()
    }
    isAnswering = false
    setInterest(.readable)
    beWatched()
    // Not at once: a long row of questions must not hold the loop up.
    if !input.isEmpty { events.schedule(after: .zero) { [weak self] in self?.next() } }
  }

  private func setInterest(_ interest: Events) {
    guard let registration else { return }
    events.setInterest(interest, of: socket, registration)
  }
}
