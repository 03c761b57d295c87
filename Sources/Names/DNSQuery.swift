// The messages of the domain name system (RFC 1035, section 4), as far as a server of one small domain needs them.
//
//     header    | id 16 | QR 1, opcode 4, AA 1, TC 1, RD 1, RA 1, zero 3, rcode 4 | questions 16 |
//               | answers 16 | authority 16 | additional 16 |
//     question  | name | type 16 | class 16 |
//     record    | name | type 16 | class 16 | ttl 32 | length 16 | data |
//     name      labels, each behind its length 8, and a zero; or, from any label on, a pointer: 11 and an offset 14

/// Record types, and the types of questions only.
public struct DNSType: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt16

  public init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  public static let a = DNSType(rawValue: 1)
  public static let ns = DNSType(rawValue: 2)
  public static let soa = DNSType(rawValue: 6)
  public static let ptr = DNSType(rawValue: 12)
  public static let aaaa = DNSType(rawValue: 28)
  public static let opt = DNSType(rawValue: 41)
  public static let ixfr = DNSType(rawValue: 251)
  public static let axfr = DNSType(rawValue: 252)
  public static let any = DNSType(rawValue: 255)
}

/// Response codes (RFC 1035, section 4.1.1, and RFC 6891).
public enum DNSCode: UInt16, Sendable {
  case noError = 0
  case formatError = 1
  case serverFailure = 2
  case noSuchName = 3
  case notImplemented = 4
  case refused = 5
  case badVersion = 16
}

/// A name, its labels from the left.
public struct DNSName: Equatable, Sendable {
  public var labels: [[UInt8]]

  public init(labels: [[UInt8]]) {
    self.labels = labels
  }

  /// A name of ASCII labels that are short enough.
  public init(_ text: String) {
    labels = text.split(separator: ".").map { Array($0.utf8) }
  }

  /// In lower case; a label that is no ASCII text matches nothing.
  public var lowercased: [String] {
    labels.map { label in String(decoding: label.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self) }
  }

  /// As bytes in a message, without compression.
  var bytes: [UInt8] {
    labels.reduce(into: []) { bytes, label in
      precondition((1...63).contains(label.count))
      bytes.append(UInt8(label.count))
      bytes += label
    } + [0]
  }
}

/// A question.
public struct DNSQuery: Equatable, Sendable {
  public var id: UInt16
  public var wantsRecursion: Bool
  public var name: DNSName
  public var type: DNSType
  /// 1 for the Internet, 255 for any.
  public var classCode: UInt16
  /// The largest UDP answer and the DNSSEC flag, if the query has EDNS (RFC 6891).
  public var edns: EDNS?

  public struct EDNS: Equatable, Sendable {
    public var size: Int
    public var wantsSignatures: Bool
  }

  public enum Reading: Equatable, Sendable {
    case query(DNSQuery)
    /// To be answered without a question.
    case problem(DNSCode, id: UInt16, opcode: UInt16, wantsRecursion: Bool)
    /// To be ignored: too short to have a number, or an answer itself.
    case ignored
  }

  static let headerSize = 12
  /// More records than any question needs are an error, so that reading is short.
  private static let maximumRecords = 16
  private static let maximumName = 255

  public static func read(_ message: some Collection<UInt8>) -> Reading {
    var reader = Reader(Array(message))
    guard let id = reader.word(), let flags = reader.word(), let questions = reader.word(), let answers = reader.word(),
      let authority = reader.word(), let additional = reader.word(), flags & 0x8000 == 0
    else { return .ignored }
    let opcode = flags >> 11 & 0xF
    let wantsRecursion = flags & 0x100 != 0
    func problem(_ code: DNSCode) -> Reading {
      .problem(code, id: id, opcode: opcode, wantsRecursion: wantsRecursion)
    }
    guard opcode == 0 else { return problem(.notImplemented) }
    let records = Int(answers) + Int(authority) + Int(additional)
    guard questions == 1, records <= maximumRecords, let name = reader.name(), let type = reader.word(),
      let classCode = reader.word()
    else { return problem(.formatError) }
    var query = DNSQuery(
      id: id, wantsRecursion: wantsRecursion, name: name, type: DNSType(rawValue: type), classCode: classCode)
    for _ in 0..<records {
      guard let isRoot = reader.skipName(), let type = reader.word(), let size = reader.word(),
        let high = reader.word(),
        let low = reader.word(), let length = reader.word(), reader.skip(Int(length))
      else { return problem(.formatError) }
      guard DNSType(rawValue: type) == .opt else { continue }
      guard isRoot, query.edns == nil else { return problem(.formatError) }
      query.edns = EDNS(size: Int(size), wantsSignatures: low & 0x8000 != 0)
      if high & 0xFF != 0 { return problem(.badVersion) }
    }
    return .query(query)
  }

  /// Reads numbers and bytes; `nil` beyond the end.
  private struct Reader {
    let bytes: [UInt8]
    var place = 0

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
    }

    mutating func byte() -> UInt8? {
      guard place < bytes.count else { return nil }
      defer { place += 1 }
      return bytes[place]
    }

    mutating func word() -> UInt16? {
      guard let high = byte(), let low = byte() else { return nil }
      return UInt16(high) << 8 | UInt16(low)
    }

    mutating func skip(_ count: Int) -> Bool {
      guard count <= bytes.count - place else { return false }
      place += count
      return true
    }

    /// A question's name. Nothing before it could be the target of a pointer, so it has none.
    mutating func name() -> DNSName? {
      var labels: [[UInt8]] = []
      var size = 1
      while let length = byte() {
        if length == 0 { return DNSName(labels: labels) }
        size += 1 + Int(length)
        let start = place
        guard length < 64, size <= maximumName, skip(Int(length)) else { return nil }
        labels.append(Array(bytes[start..<place]))
      }
      return nil
    }

    /// A record's name, whose pointers are not followed. Returns whether it is the root.
    mutating func skipName() -> Bool? {
      var size = 1
      while let length = byte() {
        if length == 0 { return size == 1 }
        if length >= 0xC0 { return byte() == nil ? nil : false }
        size += 1 + Int(length)
        guard length < 64, size <= maximumName, skip(Int(length)) else { return nil }
      }
      return nil
    }
  }
}
