internal import SystemIO

/// A connection that asks for names by TCP: each message behind its length in two bytes (RFC 1035, section 4.2.2), one
/// after the other. Owned by the main thread.
final class NameConnection: StreamConnection {
  // Set once.
  private let answer: ([UInt8], @escaping ([UInt8]?) -> Void) -> Void

  // Owned by the main thread.
  private var input: [UInt8] = []
  /// Whether an answer is awaited or being sent; until it is sent, nothing more is read.
  private var isAnswering = false

  /// How long a question may take to come, and its answer to be taken.
  private static let patience = Duration.seconds(5)
  /// No question is as long.
  private static let maximumMessage = 4096

  /// `answer` gives the answer to a message; `nil` if it deserves none.
  init(
    _ socket: consuming Descriptor, on events: EventLoop,
    answer: @escaping ([UInt8], @escaping ([UInt8]?) -> Void) -> Void
  ) {
    self.answer = answer
    super.init(socket, on: events)
    end(after: Self.patience)
  }

  override var claim: Int? { isAnswering ? nil : 0 }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    input += bytes
    next()
  }

  /// Answers the first question that has come whole.
  private func next() {
    guard isOpen, !isAnswering, input.count >= 2 else { return }
    let length = Int(input[0]) << 8 | Int(input[1])
    guard length <= Self.maximumMessage else { return end() }
    guard input.count >= 2 + length else { return }
    let message = Array(input[2..<2 + length])
    input.removeFirst(2 + length)
    isAnswering = true
    // Nothing is read meanwhile, so that nothing piles up.
    isReading = false
    answer(message) { [weak self] answer in
      guard let answer else { return self?.end() ?? () }
      self?.send([UInt8(answer.count >> 8), UInt8(answer.count & 0xFF)] + answer)
    }
  }

  override func sentAll() {
    isAnswering = false
    isReading = true
    end(after: Self.patience)
    // Not at once: a long row of questions must not hold the loop up.
    if !input.isEmpty { events.schedule(after: .zero) { [weak self] in self?.next() } }
  }
}
