internal import CLinux
internal import SystemPackage
internal import Wire

/// What the kernel said no with: the error, and a sentence if it gave one (extended acknowledgement).
struct NetlinkFailure: Error, Equatable {
  let error: Errno
  let text: String?

  var reason: String { text ?? error.description }
}

/// A request to the kernel (netlink(7)): a header of 16 bytes, a fixed part and attributes, all in the host's byte order
/// and padded to 4 bytes.
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

  mutating func attribute(_ type: Int, _ address: IPv4Address) {
    attribute(type, address.bits.bigEndian)
  }

  mutating func attribute(_ type: Int, _ address: IPv6Address) {
    nest(type) { message in
      message.append(address.high.bigEndian)
      message.append(address.low.bigEndian)
    }
  }

  mutating func attribute(_ type: Int, bytes value: [UInt8]) {
    nest(type) { $0.bytes += value }
  }

  /// Adds an attribute that holds what `body` appends.
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

/// Reads what the kernel answers to one request, datagram by datagram. Lengths are checked although the kernel wrote them.
struct NetlinkAnswer {
  /// The request's number.
  let sequence: UInt32
  /// Whether what is listed has changed meanwhile, which the kernel says in any of the messages. The answer is read to its end
  /// all the same: before that, the kernel takes no other request for a list.
  private var isInterrupted = false

  init(sequence: UInt32) {
    self.sequence = sequence
  }

  /// Goes through the messages of one datagram and calls `each` with the type and the content of those that answer the
  /// request. True once the answer is at its end.
  mutating func read(_ datagram: RawSpan, _ each: (UInt16, RawSpan) -> Void) throws(NetlinkFailure) -> Bool {
    var offset = 0
    while offset < datagram.byteCount {
      guard datagram.byteCount - offset >= 16 else { throw Self.malformed }
      let length = Int(datagram.hostDoubleWord(offset))
      let type = datagram.hostWord(offset + 4)
      let flags = CInt(datagram.hostWord(offset + 6))
      guard length >= 16, length <= datagram.byteCount - offset else { throw Self.malformed }
      let content = datagram.extracting(offset + 16..<offset + length)
      if datagram.hostDoubleWord(offset + 8) == sequence {
        if flags & NLM_F_DUMP_INTR != 0 { isInterrupted = true }
        switch CInt(type) {
        case NLMSG_ERROR, NLMSG_DONE:
          try Self.end(content, type: CInt(type), flags)
          if isInterrupted { throw NetlinkFailure(error: .interrupted, text: nil) }
          return true
        case NLMSG_NOOP:
          break
        default:
          each(type, content)
        }
      }
      offset += Self.aligned(length)
    }
    return false
  }

  /// An acknowledgement or an error (an error number of zero, or negative), or the end of a list, which may be neither.
  private static func end(_ content: RawSpan, type: CInt, _ flags: CInt) throws(NetlinkFailure) {
    guard content.byteCount >= 4 else {
      if type == NLMSG_DONE { return }
      throw malformed
    }
    let error = CInt(bitPattern: content.hostDoubleWord(0))
    guard error < 0 else { return }
    // An error repeats the request, or only its header, before the attributes.
    var text: String?
    if flags & NLM_F_ACK_TLVS != 0 {
      var start = 4
      if type == NLMSG_ERROR, content.byteCount >= 8 {
        start += flags & NLM_F_CAPPED != 0 ? 16 : aligned(Int(content.hostDoubleWord(4)))
      }
      if start <= content.byteCount {
        _ = attributes(content.extracting(start..<content.byteCount)) { type, value in
          if type == UInt16(NLMSGERR_ATTR_MSG.rawValue) {
            text = value.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
          }
        }
      }
    }
    throw NetlinkFailure(error: Errno(rawValue: error == .min ? .max : -error), text: text)
  }

  /// Calls `each` with type and value of every attribute. False if one of them does not fit.
  static func attributes(_ bytes: RawSpan, _ each: (UInt16, RawSpan) -> Void) -> Bool {
    var offset = 0
    while offset < bytes.byteCount {
      guard bytes.byteCount - offset >= 4 else { return false }
      let length = Int(bytes.hostWord(offset))
      guard length >= 4, length <= bytes.byteCount - offset else { return false }
      // The two highest bits say how the value is laid out.
      each(bytes.hostWord(offset + 2) & 0x3FFF, bytes.extracting(offset + 4..<offset + length))
      offset += aligned(length)
    }
    return true
  }

  private static var malformed: NetlinkFailure { NetlinkFailure(error: .badMessage, text: nil) }

  private static func aligned(_ length: Int) -> Int { (length + 3) & ~3 }
}

extension RawSpan {
  /// The addresses that the kernel gives in network byte order.
  var ipv4Address: IPv4Address? { byteCount == 4 ? IPv4Address(bits: doubleWord(0)) : nil }

  var ipv6Address: IPv6Address? {
    guard byteCount == 16 else { return nil }
    func half(_ offset: Int) -> UInt64 { UInt64(doubleWord(offset)) << 32 | UInt64(doubleWord(offset + 4)) }
    return IPv6Address(high: half(0), low: half(8))
  }

  func hostWord(_ offset: Int) -> UInt16 {
    unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
  }

  func hostDoubleWord(_ offset: Int) -> UInt32 {
    unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
  }
}
