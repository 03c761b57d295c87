/// Checks that bytes are one unambiguous JSON object: RFC 8259 in UTF-8, without half a surrogate pair, without two
/// members of one name in an object, and not nested deeply. It takes time in proportion to the bytes, creates no
/// values, and finds the object's `type`.
struct JSONScan {
  /// The object's own member `type`; `nil`: it is missing, or is no text.
  private(set) var type: String?
  private(set) var hasType = false

  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  /// A hash of each member's name in the open objects, those of the innermost object last.
  private var names: [UInt64] = []
  /// The first bytes of the text being read, if it is the type.
  private var text: [UInt8]?

  /// The protocol's own messages have four levels.
  static let maximumDepth = 32
  /// A type is cut to so many bytes, more than any has.
  private static let maximumType = 64

  /// `bytes` must stay valid and unchanged during the call.
  init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
    self.bytes = bytes
    skipSpace()
    guard position < bytes.count else { throw Self.malformed }
    let isObject = bytes[position] == UInt8(ascii: "{")
    try value(depth: 0)
    skipSpace()
    guard position == bytes.count else { throw Self.malformed }
    guard isObject else { throw .badMessage("not a JSON object") }
  }

  private static let malformed = WireError.badMessage("not JSON")

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
    text = []
    _ = try string()
    type = text.map { String(decoding: $0, as: UTF8.self) }
    text = nil
  }

  private mutating func word(_ word: StaticString) throws(WireError) {
    let length = word.utf8CodeUnitCount
    guard bytes.count - position >= length,
      UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])
        .elementsEqual(UnsafeBufferPointer(start: word.utf8Start, count: length))
    else { throw Self.malformed }
    position += length
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

  /// A hash of the text's UTF-8 (FNV-1a): equal texts have equal ones, however they are escaped.
  private mutating func string() throws(WireError) -> UInt64 {
    guard peek == UInt8(ascii: "\"") else { throw Self.malformed }
    position += 1
    var hash = Self.emptyHash
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return hash
      case UInt8(ascii: "\\"): try escape(&hash)
      case 0x20...0x7F:
        position += 1
        add(byte, to: &hash)
      case 0x80...: try sequence(byte, &hash)
      default: throw Self.malformed
      }
    }
    throw Self.malformed
  }

  /// Two to four bytes that stand for one character (Unicode, table 3-7).
  private mutating func sequence(_ first: UInt8, _ hash: inout UInt64) throws(WireError) {
    let (length, second): (Int, ClosedRange<UInt8>) =
      switch first {
      case 0xC2...0xDF: (2, 0x80...0xBF)
      case 0xE0: (3, 0xA0...0xBF)
      case 0xED: (3, 0x80...0x9F)
      case 0xE1...0xEF: (3, 0x80...0xBF)
      case 0xF0: (4, 0x90...0xBF)
      case 0xF1...0xF3: (4, 0x80...0xBF)
      case 0xF4: (4, 0x80...0x8F)
      default: (0, 0x80...0xBF)
      }
    guard length > 0, bytes.count - position >= length, second.contains(bytes[position + 1]),
      bytes[(position + 2)..<(position + length)].allSatisfy({ (0x80...0xBF).contains($0) })
    else { throw .badMessage("not UTF-8") }
    for offset in 0..<length { add(bytes[position + offset], to: &hash) }
    position += length
  }

  private mutating func escape(_ hash: inout UInt64) throws(WireError) {
    position += 1
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

  /// The character after `\u`, of both halves of a surrogate pair.
  private mutating func scalar() throws(WireError) -> Unicode.Scalar {
    let first = try unit()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard (0xD800..<0xDC00).contains(first), peek == UInt8(ascii: "\\") else { throw Self.halfPair }
    position += 1
    guard peek == UInt8(ascii: "u") else { throw Self.halfPair }
    position += 1
    let second = try unit()
    guard (0xDC00..<0xE000).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (UInt32(first - 0xD800) << 10) + UInt32(second - 0xDC00))
    else { throw Self.halfPair }
    return scalar
  }

  private static let halfPair = WireError.badMessage("half a surrogate pair stands in a text")

  private mutating func unit() throws(WireError) -> UInt16 {
    guard bytes.count - position >= 4 else { throw Self.malformed }
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = Self.hexadecimal(bytes[position]) else { throw Self.malformed }
      unit = unit << 4 | digit
      position += 1
    }
    return unit
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt16? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  private mutating func add(_ byte: UInt8, to hash: inout UInt64) {
    hash = Self.hash(hash, byte)
    if let count = text?.count, count < Self.maximumType { text?.append(byte) }
  }

  private static let emptyHash: UInt64 = 0xCBF2_9CE4_8422_2325
  private static let nameOfType = "type".utf8.reduce(emptyHash, hash)

  private static func hash(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }

  // MARK: Bytes

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

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
