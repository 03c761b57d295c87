/// What is wrong with a configuration file: every problem found in one run, in the order of the file.
public struct ConfigError: Error, Equatable, Sendable, CustomStringConvertible {
  public struct Problem: Hashable, Sendable {
    /// Counted from 1.
    public let line: Int
    /// Counted from 1, in characters (Unicode scalars).
    public let column: Int
    /// What is wrong, and what would be right.
    public let message: String
  }

  /// The file's name as it was given to the loader.
  public let file: String
  public let problems: [Problem]

  init(file: String, problems: [Problem]) {
    self.file = file
    var seen: Set<Problem> = []
    // A value reached by several aliases is reported once, where it stands.
    self.problems = problems.filter { seen.insert($0).inserted }
      .sorted { ($0.line, $0.column, $0.message) < ($1.line, $1.column, $1.message) }
  }

  /// One line a problem: `file:line:column: message`.
  public var description: String {
    problems.map { "\(file):\($0.line):\($0.column): \($0.message)" }.joined(separator: "\n")
  }
}

/// Why a text is not a value of some kind; the same for an option and for a key of the file.
public struct ValueError: Error, Equatable, Sendable, CustomStringConvertible {
  public let message: String
  public var description: String { message }
}
