internal import Wire

/// Cuts secrets out of a text. It recognizes them by their form, wherever they stand. Public keys and fingerprints keep
/// their beginnings, so that people can tell them apart. Invites and private keys keep nothing.
public enum Redaction {
  /// The number of a key's characters that stay.
  private static let kept = 8
  /// 32 bytes are 43 characters of base64url and 64 of hexadecimal.
  private static let shortestKey = 43
  private static let mark = "..."

  /// The text with every line redacted.
  public static func text(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { line(String($0)) }.joined(separator: "\n")
  }

  private static func line(_ line: String) -> String {
    // Arguments of a command may be passwords. The log of a reload has all of them.
    if let command = line.firstRange(of: "join.on-peer ") {
      // JSON stays JSON.
      let end = ["\",", "\""].first { line.hasSuffix($0) } ?? ""
      return "\(line[..<command.upperBound])(left out)\(end)"
    }
    var result: [UInt8] = []
    var word: [UInt8] = []
    func end() {
      result += secret(word, behind: result)
      word = []
    }
    for byte in line.utf8 {
      if isOfKey(byte) {
        word.append(byte)
      } else {
        end()
        result.append(byte)
      }
    }
    end()
    return String(decoding: result, as: UTF8.self)
  }

  /// The redacted word; `text` is what precedes it.
  private static func secret(_ word: [UInt8], behind text: [UInt8]) -> [UInt8] {
    for prefix in [InviteText.prefix, KeyText.privateKey.prefix] where text.ends(with: prefix) && !word.isEmpty {
      return Array("(left out)".utf8)
    }
    return word.count < shortestKey ? word : Array(word.prefix(kept)) + Array(mark.utf8)
  }

  /// The alphabets of base64url and base64, without the slash, which occurs in paths.
  private static func isOfKey(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "+"):
      true
    default: false
    }
  }
}

extension [UInt8] {
  fileprivate func ends(with text: String) -> Bool {
    suffix(text.utf8.count).elementsEqual(text.utf8)
  }
}
