/// One record of an answer, of the class IN.
public struct DNSRecord: Equatable, Sendable {
  public var name: DNSName
  public var type: DNSType
  /// In seconds.
  public var ttl: UInt32
  public var data: [UInt8]

  init(_ name: DNSName, _ type: DNSType, ttl: UInt32, _ data: [UInt8]) {
    self.name = name
    self.type = type
    self.ttl = ttl
    self.data = data
  }
}

/// The answer to a query.
public struct DNSResponse: Equatable, Sendable {
  public var code: DNSCode
  /// Whether this server is the authority.
  public var isAuthoritative = false
  public var answers: [DNSRecord] = []
  public var authority: [DNSRecord] = []

  init(_ code: DNSCode, isAuthoritative: Bool = false, answers: [DNSRecord] = [], authority: [DNSRecord] = []) {
    self.code = code
    self.isAuthoritative = isAuthoritative
    self.answers = answers
    self.authority = authority
  }

  public static let refused = DNSResponse(.refused)
  /// No answer is possible now; the resolver may ask again.
  public static let failure = DNSResponse(.serverFailure)

  /// The largest UDP answer without and with EDNS, in bytes.
  public static let plainSize = 512
  public static let largestDatagram = 1232
  /// The largest TCP answer, in bytes.
  public static let largestMessage = 65_535

  /// The largest UDP answer to this query, in bytes.
  public static func datagramSize(for query: DNSQuery) -> Int {
    query.edns.map { min(max($0.size, plainSize), largestDatagram) } ?? plainSize
  }

  /// The message. If it is larger than `limit` bytes, it has the TC bit and no records.
  public func encoded(answering query: DNSQuery, limit: Int) -> [UInt8] {
    let whole = encoded(query, isCut: false)
    return whole.count <= limit ? whole : encoded(query, isCut: true)
  }

  private func encoded(_ query: DNSQuery, isCut: Bool) -> [UInt8] {
    let (answers, authority) = isCut ? ([], []) : (answers, authority)
    var flags: UInt16 = 0x8000 | (code.rawValue & 0xF)
    if isAuthoritative { flags |= 0x400 }
    if isCut { flags |= 0x200 }
    if query.wantsRecursion { flags |= 0x100 }
    var bytes: [UInt8] = []
    for word in [query.id, flags, 1, UInt16(answers.count), UInt16(authority.count), query.edns == nil ? 0 : 1] {
      bytes += Self.bytes(word)
    }
    bytes += query.name.bytes + Self.bytes(query.type.rawValue) + Self.bytes(query.classCode)
    for record in answers + authority {
      // The question's name begins right behind the header.
      bytes += record.name == query.name ? [0xC0, UInt8(DNSQuery.headerSize)] : record.name.bytes
      bytes += Self.bytes(record.type.rawValue) + Self.bytes(UInt16(1))
      bytes += Self.bytes(UInt16(record.ttl >> 16)) + Self.bytes(UInt16(truncatingIfNeeded: record.ttl))
      bytes += Self.bytes(UInt16(record.data.count)) + record.data
    }
    if let edns = query.edns { bytes += Self.options(code, edns.wantsSignatures) }
    return bytes
  }

  /// The answer to a message without a readable question.
  public static func encoded(_ code: DNSCode, id: UInt16, opcode: UInt16, wantsRecursion: Bool) -> [UInt8] {
    let hasOptions = code == .badVersion
    let flags = 0x8000 | opcode << 11 | (wantsRecursion ? 0x100 : 0) | (code.rawValue & 0xF)
    return [id, flags, 0, 0, 0, hasOptions ? 1 : 0].flatMap { bytes($0) } + (hasOptions ? options(code, false) : [])
  }

  /// The OPT record (RFC 6891, section 6.1): the size of messages that this server takes, the upper bits of the code,
  /// version 0.
  private static func options(_ code: DNSCode, _ wantsSignatures: Bool) -> [UInt8] {
    [0] + bytes(DNSType.opt.rawValue) + bytes(UInt16(largestDatagram)) + [UInt8(code.rawValue >> 4), 0]
      + bytes(wantsSignatures ? 0x8000 : 0) + [0, 0]
  }

  private static func bytes(_ word: UInt16) -> [UInt8] {
    [UInt8(word >> 8), UInt8(truncatingIfNeeded: word)]
  }
}
