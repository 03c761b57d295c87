import Config
import Testing

func load(_ text: String) throws(ConfigError) -> Settings {
  try Settings.load(Array(text.utf8), file: "mnedc.yaml")
}

/// What the loader says of a bad file, a line a problem and without the file's name.
func complaints(_ bytes: [UInt8]) -> [String] {
  do throws(ConfigError) {
    _ = try Settings.load(bytes, file: "f")
    return []
  } catch {
    return error.description.split(separator: "\n").map { String($0.dropFirst(2)) }
  }
}

func complaints(_ text: String) -> [String] { complaints(Array(text.utf8)) }

/// SplitMix64: the same numbers in every run.
struct Numbers: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// A bad text and what is said of it, shown as the test's argument.
struct Bad: Sendable, CustomTestStringConvertible {
  var text: String
  var complaint: String

  init(_ text: String, _ complaint: String) {
    self.text = text
    self.complaint = complaint
  }

  var testDescription: String { text.debugDescription }
}
