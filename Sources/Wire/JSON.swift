internal import FoundationEssentials

/// How messages are written and read as JSON.
enum JSON {
  /// The JSON of a value, with sorted keys. Every value of ours has one.
  static func encode(_ value: some Encodable) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { preconditionFailure("\(type(of: value)) is not valid JSON") }
    return Array(data)
  }

  /// Reads a value from bytes that `JSONScan` has checked.
  static func decode<Value: Decodable>(_: Value.Type, _ bytes: UnsafeRawBufferPointer) throws(WireError) -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: Data(bytes))
    } catch let error as WireError {
      throw error
    } catch {
      throw .badMessage((error as? DecodingError)?.summary ?? "not JSON")
    }
  }
}

extension DecodingError {
  /// One line for a log: which member, and what is wrong with it.
  fileprivate var summary: String {
    switch self {
    case .dataCorrupted(let context) where context.codingPath.isEmpty:
      return "a number does not fit"
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
      return path.isEmpty ? "not a JSON object" : "\(path) is not as it should be"
    case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
    @unknown default: return "not as it should be"
    }
  }
}

/// Checks that bytes are one unambiguous JSON object: RFC 8259 in UTF-8, no half of a surrogate pair, no two members of
/// one name in an object, no deep nesting. Takes time in proportion to the bytes and creates no values.
struct JSONScan {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  /// Hashes of the members' names in all open objects, those of the innermost object last.
  private var names: [UInt64] = []
  private var hasType = false
  /// The object's own member `type`, cut to `maximumType` bytes; `nil`: it is missing, or is no text.
  private var type: [UInt8]?
  private var isInType = false

  /// The protocol's own messages have four levels.
  private static let maximumDepth = 32
  /// More than any type has.
  private static let maximumType = 64
  private static let malformed = WireError.badMessage("not JSON")

  /// The text of the object's member `type`. Throws if there is none, or for bytes that are no such object.
  static func type(of bytes: UnsafeRawBufferPointer) throws(WireError) -> String {
    guard (try? UTF8Span(validating: bytes.bindMemory(to: UInt8.self).span)) != nil else {
      throw .badMessage("not UTF-8")
    }
    var scan = JSONScan(bytes)
    scan.skipSpace()
    let isObject = scan.peek == UInt8(ascii: "{")
    try scan.value(depth: 0)
    scan.skipSpace()
    guard scan.position == bytes.count else { throw malformed }
    guard isObject else { throw .badMessage("not a JSON object") }
    guard scan.hasType else { throw .badMessage("type is missing") }
    guard let type = scan.type else { throw .badMessage("type is not as it should be") }
    return String(decoding: type, as: UTF8.self)
  }

  private init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  // MARK: Values

  private mutating func value(depth: Int) throws(WireError) {
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"): try object(depth)
    case UInt8(ascii: "["): try array(depth)
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "t"): try word("true")
    case UInt8(ascii: "f"): try word("false")
    case UInt8(ascii: "n"): try word("null")
    default: try number()
    }
  }

  private mutating func object(_ depth: Int) throws(WireError) {
    try enter(depth)
    let first = names.count
    if !take(UInt8(ascii: "}")) {
      repeat {
        skipSpace()
        names.append(try string())
        guard take(UInt8(ascii: ":")) else { throw Self.malformed }
        if depth == 0, names.last == Self.nameOfType { try readType() } else { try value(depth: depth + 1) }
      } while take(UInt8(ascii: ","))
      guard take(UInt8(ascii: "}")) else { throw Self.malformed }
    }
    names[first...].sort()
    guard zip(names[first...], names[first...].dropFirst()).allSatisfy({ $0 != $1 }) else {
      throw .badMessage("a member stands twice in an object")
    }
    names.removeLast(names.count - first)
  }

  private mutating func array(_ depth: Int) throws(WireError) {
    try enter(depth)
    guard !take(UInt8(ascii: "]")) else { return }
    repeat { try value(depth: depth + 1) } while take(UInt8(ascii: ","))
    guard take(UInt8(ascii: "]")) else { throw Self.malformed }
  }

  private mutating func enter(_ depth: Int) throws(WireError) {
    guard depth < Self.maximumDepth else { throw .badMessage("nested more than \(Self.maximumDepth) deep") }
    position += 1
  }

  private mutating func readType() throws(WireError) {
    hasType = true
    skipSpace()
    guard peek == UInt8(ascii: "\"") else { return try value(depth: 1) }
    type = []
    isInType = true
    _ = try string()
    isInType = false
  }

  private mutating func word(_ word: String) throws(WireError) {
    for byte in word.utf8 { try expect(byte) }
  }

  private mutating func number() throws(WireError) {
    if peek == UInt8(ascii: "-") { position += 1 }
    if peek == UInt8(ascii: "0") { position += 1 } else { try digits() }
    if peek == UInt8(ascii: ".") {
      position += 1
      try digits()
    }
    guard let letter = peek, letter | 0x20 == UInt8(ascii: "e") else { return }
    position += 1
    if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
    try digits()
  }

  private mutating func digits() throws(WireError) {
    let start = position
    while let digit = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) { position += 1 }
    guard position > start else { throw Self.malformed }
  }

  // MARK: Texts

  /// A hash of the text's UTF-8 (FNV-1a), the same however the text is escaped.
  private mutating func string() throws(WireError) -> UInt64 {
    try expect(UInt8(ascii: "\""))
    var hash = Self.emptyHash
    while let byte = peek, byte >= 0x20 {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return hash
      case UInt8(ascii: "\\"): try escape(&hash)
      default: add(byte, to: &hash)
      }
    }
    throw Self.malformed
  }

  private mutating func escape(_ hash: inout UInt64) throws(WireError) {
    guard let letter = peek else { throw Self.malformed }
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): add(letter, to: &hash)
    case UInt8(ascii: "b"): add(0x08, to: &hash)
    case UInt8(ascii: "f"): add(0x0C, to: &hash)
    case UInt8(ascii: "n"): add(0x0A, to: &hash)
    case UInt8(ascii: "r"): add(0x0D, to: &hash)
    case UInt8(ascii: "t"): add(0x09, to: &hash)
    case UInt8(ascii: "u"):
      for byte in UTF8.encode(try scalar()) ?? .init() { add(byte, to: &hash) }
    default: throw Self.malformed
    }
  }

  /// The character after `\u`, from both halves of a surrogate pair.
  private mutating func scalar() throws(WireError) -> Unicode.Scalar {
    let first = try unit()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard UTF16.isLeadSurrogate(first), peek == UInt8(ascii: "\\") else { throw Self.halfPair }
    position += 1
    guard peek == UInt8(ascii: "u") else { throw Self.halfPair }
    position += 1
    let second = try unit()
    guard UTF16.isTrailSurrogate(second),
      let scalar = Unicode.Scalar(0x10000 + (UInt32(first - 0xD800) << 10) + UInt32(second - 0xDC00))
    else { throw Self.halfPair }
    return scalar
  }

  private static let halfPair = WireError.badMessage("half a surrogate pair stands in a text")

  private mutating func unit() throws(WireError) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = peek.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else { throw Self.malformed }
      unit = unit << 4 | UInt16(digit)
      position += 1
    }
    return unit
  }

  private mutating func add(_ byte: UInt8, to hash: inout UInt64) {
    hash = Self.hash(hash, byte)
    if isInType, type!.count < Self.maximumType { type!.append(byte) }
  }

  private static let emptyHash: UInt64 = 0xCBF2_9CE4_8422_2325
  private static let nameOfType = "type".utf8.reduce(emptyHash, hash)

  private static func hash(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }

  // MARK: Bytes

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func expect(_ byte: UInt8) throws(WireError) {
    guard peek == byte else { throw Self.malformed }
    position += 1
  }

  /// Skips white space, and then this byte if it is the next one.
  private mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard peek == byte else { return false }
    position += 1
    return true
  }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }
}
