/// Reads, checks and writes the text of one kind of value. A key of the file and an option on the command line use the
/// same kind, so both give the same message about a bad value.
public struct ValueKind<Value: Sendable>: Sendable {
  /// The result of reading a text.
  enum Reading {
    case value(Value)
    case malformed
    case outOfRange
    /// The rest of the message after the quoted text: what is wrong and what would be right.
    case refused(String)
    /// The same for a text that no message may show.
    case withheld(String)
  }

  /// With its article: `an MTU`.
  public let name: String
  /// The rest of a message after "expected".
  public let rule: String
  private let read: @Sendable (String) -> Reading
  private let write: @Sendable (Value) -> String

  init(
    _ name: String, _ rule: String, write: @escaping @Sendable (Value) -> String = { "\($0)" },
    read: @escaping @Sendable (String) -> Reading
  ) {
    self.name = name
    self.rule = rule
    self.read = read
    self.write = write
  }

  /// The value. The error says what is wrong and what would be right.
  public func parse(_ text: String) throws(ValueError) -> Value {
    switch read(text) {
    case .value(let value): return value
    case .malformed: throw ValueError(message: "\(text.quotedBriefly) is not \(name); expected \(rule)")
    case .outOfRange: throw ValueError(message: "\(text.quotedBriefly) is out of range; expected \(rule)")
    case .refused(let reason): throw ValueError(message: "\(text.quotedBriefly) \(reason)")
    case .withheld(let reason): throw ValueError(message: "the value \(reason)")
    }
  }

  /// The text that `parse` reads as `value`.
  public func text(_ value: Value) -> String { write(value) }
}

// MARK: Numbers, choices, durations, sizes

extension ValueKind where Value: FixedWidthInteger {
  static func wholeNumber(_ name: String, in range: ClosedRange<Value>) -> ValueKind {
    ValueKind(name, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
      guard text.isWholeNumber else { return .malformed }
      guard let value = Value(text), range.contains(value) else { return .outOfRange }
      return .value(value)
    }
  }
}

extension ValueKind where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  static func choice(_ name: String) -> ValueKind {
    let words = Value.allCases.map(\.rawValue)
    let rule = words.dropLast().joined(separator: ", ") + " or " + words[words.count - 1]
    return ValueKind(name, rule, write: \.rawValue) { text in
      Value(rawValue: text).map { .value($0) } ?? .malformed
    }
  }
}

extension ValueKind where Value == Duration {
  private static var units: [(name: String, milliseconds: Int64)] {
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
  }

  /// A whole number with one unit. Written in the largest unit that keeps the number whole.
  static func duration(_ range: ClosedRange<Duration>) -> ValueKind {
    let names = range.upperBound < .seconds(86_400) ? "ms, s, m or h" : "ms, s, m, h or d"
    let rule = "\(text(range.lowerBound)) to \(text(range.upperBound)), in \(names)"
    return ValueKind("a duration", rule, write: text) { text in
      guard let (number, unit) = text.splitUnit, let factor = units.first(where: { $0.name == unit })?.milliseconds
      else {
        return .malformed
      }
      let (product, overflow) = (Int64(number) ?? .max).multipliedReportingOverflow(by: factor)
      let value = Duration.milliseconds(overflow ? .max : product)
      return range.contains(value) ? .value(value) : .outOfRange
    }
  }

  static func text(_ value: Duration) -> String {
    let (seconds, attoseconds) = value.components
    let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
    for unit in units where milliseconds.isMultiple(of: unit.milliseconds) && milliseconds != 0 {
      return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
    return "0s"
  }
}

extension ValueKind where Value == Int {
  private static var units: [(name: String, bytes: Int)] {
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)]
  }

  /// A count of bytes, plain or in binary units.
  static func size(_ range: ClosedRange<Int>) -> ValueKind {
    let rule = "\(text(range.lowerBound)) to \(text(range.upperBound)), in KiB, MiB, GiB or plain bytes"
    return ValueKind("a size", rule, write: text) { text in
      guard let (number, unit) = text.splitUnit, let factor = units.first(where: { $0.name == unit })?.bytes else {
        return .malformed
      }
      let (product, overflow) = (Int(number) ?? .max).multipliedReportingOverflow(by: factor)
      let value = overflow ? .max : product
      return range.contains(value) ? .value(value) : .outOfRange
    }
  }

  private static func text(_ value: Int) -> String {
    for unit in units where value.isMultiple(of: unit.bytes) && value != 0 {
      return "\(value / unit.bytes)\(unit.name)"
    }
    return "0"
  }
}

extension String {
  /// Decimal digits only, without a sign, and without a leading zero, which may mean octal.
  var isWholeNumber: Bool {
    guard let first = utf8.first, utf8.allSatisfy(\.isDigit) else { return false }
    return utf8.count == 1 || !first.isOne(of: "0")
  }

  /// `30s` as `30` and `s`; `nil` if it does not begin with a whole number.
  fileprivate var splitUnit: (number: String, unit: String)? {
    let digits = utf8.prefix(while: \.isDigit).count
    let (number, unit) = (String(decoding: utf8.prefix(digits), as: UTF8.self), utf8.dropFirst(digits))
    return number.isWholeNumber ? (number, String(decoding: unit, as: UTF8.self)) : nil
  }
}
