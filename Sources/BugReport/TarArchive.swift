/// A tar archive in memory, in the format ustar (POSIX.1-1988, pax(1)). Each file is a header of 512 bytes and its
/// content, padded with zeros to whole blocks. Two blocks of zeros end the archive.
public struct TarArchive: Sendable {
  private var blocks: [UInt8] = []
  /// The time of all files, in Unix seconds.
  private let time: Int64

  private static let blockSize = 512
  /// A longer name would need the header's prefix field.
  public static let maximumNameLength = 100
  /// The largest number of eleven octal digits.
  public static let maximumSize = 0o777_7777_7777

  public init(time: Int64) {
    self.time = max(0, min(time, Int64(Self.maximumSize)))
  }

  /// Adds a file that only its owner may read and write.
  public mutating func add(_ name: String, _ content: [UInt8]) {
    precondition((1...Self.maximumNameLength).contains(name.utf8.count), "a name fits into the header")
    precondition(content.count <= Self.maximumSize, "a size fits into the header")
    blocks += header(name, size: content.count)
    blocks += content
    blocks += [UInt8](repeating: 0, count: -content.count & (Self.blockSize - 1))
  }

  /// The whole archive.
  public var bytes: [UInt8] { blocks + [UInt8](repeating: 0, count: 2 * Self.blockSize) }

  private func header(_ name: String, size: Int) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: Self.blockSize)
    func put(_ text: String, at offset: Int) {
      header.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    }
    func octal(_ number: Int, digits: Int) -> String {
      let text = String(number, radix: 8)
      return String(repeating: "0", count: digits - text.utf8.count) + text
    }
    put(name, at: 0)
    put(octal(0o600, digits: 7), at: 100)
    put(octal(0, digits: 7), at: 108)  // user
    put(octal(0, digits: 7), at: 116)  // group
    put(octal(size, digits: 11), at: 124)
    put(octal(Int(time), digits: 11), at: 136)
    put("0", at: 156)  // a regular file
    put("ustar", at: 257)
    put("00", at: 263)
    // The sum of all bytes, with spaces in the place of the sum itself.
    put("        ", at: 148)
    let sum = header.reduce(0) { $0 + Int($1) }
    put(octal(sum, digits: 6) + "\0 ", at: 148)
    return header
  }
}
