/// Reads JSON from front to back, a value at a time, each of the type that the caller wants.
struct JSONReader {
  /// The bytes are no JSON, or not what was wanted.
  struct Malformed: Error {}

  private let bytes: ArraySlice<UInt8>
  private var position: Int
  private var depth = 0

  private static let maximumDepth = 32

  init(_ bytes: [UInt8]) {
    self.init(bytes[...])
  }

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  /// Throws unless everything was read.
  mutating func end() throws(Malformed) {
    skipSpace()
    guard position == bytes.endIndex else { throw Malformed() }
  }

  /// Calls `member` with each name, which reads or skips the value.
  mutating func object(_ member: (String, inout JSONReader) throws(Malformed) -> Void) throws(Malformed) {
    try enclosed(UInt8(ascii: "{"), UInt8(ascii: "}")) { json throws(Malformed) in
      let name = try json.string()
      try json.expect(UInt8(ascii: ":"))
      try member(name, &json)
    }
  }

  mutating func array<Element>(
    _ element: (inout JSONReader) throws(Malformed) -> Element
  ) throws(Malformed) -> [Element] {
    var elements: [Element] = []
    try enclosed(UInt8(ascii: "["), UInt8(ascii: "]")) { json throws(Malformed) in elements.append(try element(&json)) }
    return elements
  }

  mutating func bool() throws(Malformed) -> Bool {
    switch try word() {
    case "true": true
    case "false": false
    default: throw Malformed()
    }
  }

  mutating func whole() throws(Malformed) -> Int {
    guard let value = Int(try word()) else { throw Malformed() }
    return value
  }

  mutating func number() throws(Malformed) -> Double {
    guard let value = Double(try word()), value.isFinite else { throw Malformed() }
    return value
  }

  mutating func string() throws(Malformed) -> String {
    try expect(UInt8(ascii: "\""))
    let start = position
    while position < bytes.endIndex {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        defer { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
      case UInt8(ascii: "\\"): return try escaped(from: start)
      default: position += 1
      }
    }
    throw Malformed()
  }

  /// Skips a value of any type.
  mutating func skip() throws(Malformed) {
    skipSpace()
    guard position < bytes.endIndex else { throw Malformed() }
    switch bytes[position] {
    case UInt8(ascii: "{"): try object { _, json throws(Malformed) in try json.skip() }
    case UInt8(ascii: "["): _ = try array { json throws(Malformed) in try json.skip() }
    case UInt8(ascii: "\""): _ = try string()
    default: _ = try word()
    }
  }

  // MARK: Pieces

  private mutating func enclosed(
    _ open: UInt8, _ close: UInt8, _ item: (inout JSONReader) throws(Malformed) -> Void
  ) throws(Malformed) {
    try expect(open)
    depth += 1
    guard depth <= Self.maximumDepth else { throw Malformed() }
    defer { depth -= 1 }
    if take(close) { return }
    repeat { try item(&self) } while take(UInt8(ascii: ","))
    try expect(close)
  }

  private mutating func skipSpace() {
    while position < bytes.endIndex {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard position < bytes.endIndex, bytes[position] == byte else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ byte: UInt8) throws(Malformed) {
    guard take(byte) else { throw Malformed() }
  }

  /// A number, or `true`, `false` and `null`.
  private mutating func word() throws(Malformed) -> String {
    skipSpace()
    let start = position
    scan: while position < bytes.endIndex {
      switch bytes[position] {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
        UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "E"):
        position += 1
      default: break scan
      }
    }
    guard position > start else { throw Malformed() }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  /// The rest of a string from `start` on, at the first backslash.
  private mutating func escaped(from start: Int) throws(Malformed) -> String {
    var text = Array(bytes[start..<position])
    while position < bytes.endIndex {
      let byte = bytes[position]
      position += 1
      if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
      guard byte == UInt8(ascii: "\\") else {
        text.append(byte)
        continue
      }
      guard position < bytes.endIndex else { throw Malformed() }
      let escape = bytes[position]
      position += 1
      switch escape {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape)
      case UInt8(ascii: "b"): text.append(0x08)
      case UInt8(ascii: "f"): text.append(0x0C)
      case UInt8(ascii: "n"): text.append(0x0A)
      case UInt8(ascii: "r"): text.append(0x0D)
      case UInt8(ascii: "t"): text.append(0x09)
      case UInt8(ascii: "u"): text.append(contentsOf: String(try scalar()).utf8)
      default: throw Malformed()
      }
    }
    throw Malformed()
  }

  /// What `\u` stands for; two of them make a scalar outside the basic plane.
  private mutating func scalar() throws(Malformed) -> Character {
    let unit = try unit()
    if let scalar = Unicode.Scalar(UInt32(unit)) { return Character(scalar) }
    guard unit < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw Malformed() }
    let second = try self.unit()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (UInt32(unit) - 0xD800) << 10 + UInt32(second) - 0xDC00)
    else { throw Malformed() }
    return Character(scalar)
  }

  private mutating func unit() throws(Malformed) -> UInt16 {
    guard position + 4 <= bytes.endIndex,
      let value = UInt16(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
    else { throw Malformed() }
    position += 4
    return value
  }
}
