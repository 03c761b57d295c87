/// A place in a file. Lines and columns count from 1, columns in characters.
struct Mark: Hashable, Comparable, Sendable {
  var line = 1
  var column = 1

  static func < (left: Mark, right: Mark) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// Why a file cannot be read as YAML, or the limit that it exceeds.
struct SourceError: Error {
  let mark: Mark
  let message: String
}

/// The bytes of a file, checked: UTF-8 text, not too large, without control characters.
struct SourceText {
  /// Without the byte order mark that some editors put first.
  let bytes: ArraySlice<UInt8>
  /// In the order of the file.
  private(set) var invisible: [InvisibleCharacter] = []

  init(_ file: [UInt8], maximumSize: Int) throws(SourceError) {
    guard file.count <= maximumSize else {
      let message = "the file is larger than \(maximumSize) bytes, more than a configuration can need"
      throw SourceError(mark: Mark(), message: message)
    }
    bytes = file.dropFirst(file.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0)
    do throws(UTF8.ValidationError) {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      let position = bytes.startIndex + error.byteOffsets.lowerBound
      let message =
        "the byte 0x\(String(bytes[position], radix: 16, uppercase: true)) is not UTF-8; save the file as UTF-8"
      throw SourceError(mark: mark(at: position), message: message)
    }
    if let position = firstControlCharacter {
      let name = bytes[position] == 0 ? "a NUL byte" : "a control character"
      throw SourceError(mark: mark(at: position), message: "\(name) has no place in YAML; remove it")
    }
    if bytes.contains(where: { $0 >= 0x80 }) { invisible = InvisibleCharacter.all(in: Self.lines(bytes)) }
  }

  /// The first character that YAML 1.1 (section 5.1) does not allow. libyaml does not report its line.
  private var firstControlCharacter: Int? {
    for (index, byte) in zip(bytes.indices, bytes) {
      switch byte {
      case 0x09, 0x0A, 0x0D: continue
      case 0..<0x20, 0x7F: return index
      case 0xC2 where (0x80...0x9F).contains(bytes[index + 1]) && bytes[index + 1] != 0x85: return index
      case 0xEF where bytes[index + 1] == 0xBF && bytes[index + 2] >= 0xBE: return index
      default: continue
      }
    }
    return nil
  }

  /// The mark of the character that begins at `position`. The bytes before it must be UTF-8.
  private func mark(at position: Int) -> Mark {
    let lines = Self.lines(bytes[..<position])
    return Mark(line: lines.count, column: lines[lines.count - 1].unicodeScalars.count + 1)
  }

  /// The text of a line without its line break. Empty after the end of the file.
  func line(_ number: Int) -> Substring {
    let lines = Self.lines(bytes)
    return lines.indices.contains(number - 1) ? lines[number - 1] : ""
  }

  /// Swift and libyaml count the same lines: they agree on newlines, and `\r\n` is one `Character`.
  private static func lines(_ bytes: ArraySlice<UInt8>) -> [Substring] {
    String(decoding: bytes, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: { $0.isNewline })
  }
}
