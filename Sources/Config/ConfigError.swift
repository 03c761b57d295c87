/// All problems of a configuration file, in the order of the file.
public struct ConfigError: Error, Equatable, Sendable, CustomStringConvertible {
  public struct Problem: Hashable, Sendable {
    /// Counted from 1.
    public let line: Int
    /// Counted from 1, in characters (Unicode scalars).
    public let column: Int
    /// Says what is wrong and what would be right.
    public let message: String
  }

  /// The name that the caller gave.
  public let file: String
  public let problems: [Problem]

  init(file: String, problems: [Problem]) {
    self.file = file
    var seen: Set<Problem> = []
    // A value that several aliases name is reported once.
    self.problems = problems.filter { seen.insert($0).inserted }
      .sorted { ($0.line, $0.column, $0.message) < ($1.line, $1.column, $1.message) }
  }

  /// One line for each problem: `file:line:column: message`.
  public var description: String {
    problems.map { "\(file):\($0.line):\($0.column): \($0.message)" }.joined(separator: "\n")
  }
}

/// Why a text is not a value of a kind. An option and a key of the file give the same reason.
public struct ValueError: Error, Equatable, Sendable, CustomStringConvertible {
  public let message: String
  public var description: String { message }
}
