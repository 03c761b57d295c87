internal import CLinux
internal import SystemPackage
internal import Wire

/// Why the kernel refused a request: the error, and its sentence if it gave one (extended acknowledgement).
struct NetlinkFailure: Error, Equatable {
  let error: Errno
  var text: String?

  var reason: String { text ?? error.description }
}

/// A request to the kernel (netlink(7)): a header of 16 bytes, a fixed part and attributes, all in the host's byte
/// order and padded to 4 bytes.
struct NetlinkMessage {
  private(set) var bytes: [UInt8]

  init(type: Int, flags: CInt, body: some BitwiseCopyable) {
    bytes = []
    append(UInt32(0))
    append(UInt16(type))
    append(UInt16(NLM_F_REQUEST | NLM_F_ACK | flags))
    append(UInt32(0))
    append(UInt32(0))
    append(body)
  }

  mutating func attribute(_ type: Int, _ value: some BitwiseCopyable) {
    nest(type) { $0.append(value) }
  }

  mutating func attribute(_ type: Int, bytes value: [UInt8]) {
    nest(type) { $0.bytes += value }
  }

  /// Adds an attribute that contains what `body` appends.
  mutating func nest(_ type: Int, _ body: (inout NetlinkMessage) -> Void) {
    let start = bytes.count
    append(UInt16(0))
    append(UInt16(type))
    body(&self)
    set(UInt16(bytes.count - start), at: start)
    while bytes.count & 3 != 0 { bytes.append(0) }
  }

  /// The finished message; `sequence` comes back in every answer to it.
  func finished(sequence: UInt32) -> [UInt8] {
    var message = self
    message.set(UInt32(bytes.count), at: 0)
    message.set(sequence, at: 8)
    return message.bytes
  }

  private mutating func append(_ value: some BitwiseCopyable) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }

  private mutating func set(_ value: some BitwiseCopyable, at offset: Int) {
    withUnsafeBytes(of: value) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
}

/// Reads the kernel's answer to one request, datagram by datagram. It checks every length.
struct NetlinkAnswer {
  /// The request's number.
  let sequence: UInt32
  /// Whether the list changed while the kernel wrote it; any message may say so. The answer is read to its end all the
  /// same, because the kernel accepts no other request for a list before that.
  private var isInterrupted = false

  init(sequence: UInt32) {
    self.sequence = sequence
  }

  /// Calls `each` with type and content of every message of a datagram that answers the request. True at the end of the
  /// answer.
  mutating func read(_ datagram: RawSpan, _ each: (UInt16, RawSpan) -> Void) throws(NetlinkFailure) -> Bool {
    var offset = 0
    while offset < datagram.byteCount {
      guard let message = Message(datagram, at: offset) else { throw Self.malformed }
      offset = message.end
      guard message.sequence == sequence else { continue }
      if message.flags & NLM_F_DUMP_INTR != 0 { isInterrupted = true }
      switch CInt(message.type) {
      case NLMSG_ERROR, NLMSG_DONE:
        try Self.end(datagram.extracting(message.content), type: CInt(message.type), message.flags)
        if isInterrupted { throw NetlinkFailure(error: .interrupted) }
        return true
      case NLMSG_NOOP:
        break
      default:
        each(message.type, datagram.extracting(message.content))
      }
    }
    return false
  }

  /// Where a message of a datagram lies, and what its header says.
  struct Message {
    let type: UInt16
    let flags: CInt
    let sequence: UInt32
    let content: Range<Int>

    /// `nil` if the message at `offset` does not fit.
    init?(_ datagram: RawSpan, at offset: Int) {
      guard datagram.byteCount - offset >= 16 else { return nil }
      let length = Int(datagram.hostDoubleWord(offset))
      guard length >= 16, length <= datagram.byteCount - offset else { return nil }
      type = datagram.hostWord(offset + 4)
      flags = CInt(datagram.hostWord(offset + 6))
      sequence = datagram.hostDoubleWord(offset + 8)
      content = offset + 16..<offset + length
    }

    /// The next message's offset, which may be beyond the datagram.
    var end: Int { aligned(content.upperBound) }
  }

  /// Throws the error that an acknowledgement or the end of a list carries; zero is none, and the end of a list may
  /// lack the number.
  private static func end(_ content: RawSpan, type: CInt, _ flags: CInt) throws(NetlinkFailure) {
    guard content.byteCount >= 4 else {
      if type == NLMSG_DONE { return }
      throw malformed
    }
    let error = CInt(bitPattern: content.hostDoubleWord(0))
    guard error < 0 else { return }
    var text: String?
    if flags & NLM_F_ACK_TLVS != 0 {
      var start = 4
      // An error repeats the request, or only its header, before the attributes.
      if type == NLMSG_ERROR, content.byteCount >= 8 {
        start += flags & NLM_F_CAPPED != 0 ? 16 : aligned(Int(content.hostDoubleWord(4)))
      }
      if start <= content.byteCount {
        _ = attributes(content, from: start) { type, value in
          if type == UInt16(NLMSGERR_ATTR_MSG.rawValue) { text = value.text }
        }
      }
    }
    throw NetlinkFailure(error: Errno(rawValue: error == .min ? .max : -error), text: text)
  }

  /// Calls `each` with type and value of every attribute from `start` on. False if one of them does not fit.
  static func attributes(_ bytes: RawSpan, from start: Int, _ each: (UInt16, RawSpan) -> Void) -> Bool {
    var offset = start
    while offset < bytes.byteCount {
      guard bytes.byteCount - offset >= 4 else { return false }
      let length = Int(bytes.hostWord(offset))
      guard length >= 4, length <= bytes.byteCount - offset else { return false }
      // The two highest bits of the type are flags.
      each(bytes.hostWord(offset + 2) & 0x3FFF, bytes.extracting(offset + 4..<offset + length))
      offset += aligned(length)
    }
    return true
  }

  private static var malformed: NetlinkFailure { NetlinkFailure(error: .badMessage) }
}

private func aligned(_ length: Int) -> Int { (length + 3) & ~3 }

extension RawSpan {
  func hostWord(_ offset: Int) -> UInt16 {
    unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
  }

  func hostDoubleWord(_ offset: Int) -> UInt32 {
    unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
  }

  /// An attribute's number; `nil` if it has not 4 bytes.
  var number: UInt32? { byteCount == 4 ? hostDoubleWord(0) : nil }

  /// An attribute's text, up to the first zero byte.
  var text: String { withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) } }

  var array: [UInt8] { withUnsafeBytes { Array($0) } }
}
