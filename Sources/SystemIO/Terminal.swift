internal import CLinux
internal import Glibc
public import SystemPackage

/// What the terminal takes that a standard stream is: the rules on width and colour of all programs.
public enum Terminal {
  public enum Stream: Int32, Sendable {
    case input = 0
    case output = 1
    case error = 2
  }

  /// Whether this is a terminal.
  public static func isOne(_ stream: Stream = .output) -> Bool { isatty(stream.rawValue) == 1 }

  /// How many columns and rows it shows now; `nil` if it is no terminal, or one that does not say.
  public static func size(_ stream: Stream = .output) -> (columns: Int, rows: Int)? {
    var (columns, rows) = (UInt16(0), UInt16(0))
    guard clinux_terminal_size(stream.rawValue, &columns, &rows) == 0, columns > 0, rows > 0 else { return nil }
    return (width(stream) ?? Int(columns), Int(rows))
  }

  /// How many columns a line may take: what the variable COLUMNS says, or else the terminal; `nil` if it is no terminal,
  /// or if nobody says.
  public static func width(_ stream: Stream = .output) -> Int? {
    guard isOne(stream) else { return nil }
    if let wanted = variable("COLUMNS").flatMap({ Int($0) }), wanted > 0 { return wanted }
    var (columns, rows) = (UInt16(0), UInt16(0))
    guard clinux_terminal_size(stream.rawValue, &columns, &rows) == 0, columns > 0 else { return nil }
    return Int(columns)
  }

  /// Whether it is a terminal that obeys control sequences: TERM says which, and it is not dumb.
  public static func takesControl(_ stream: Stream = .output) -> Bool {
    guard isOne(stream), let kind = variable("TERM") else { return false }
    return kind != "dumb"
  }

  /// Whether colours are shown and wanted: on a terminal that obeys, unless NO_COLOR is set (https://no-color.org).
  public static func takesColour(_ stream: Stream = .output) -> Bool {
    takesControl(stream) && variable("NO_COLOR") == nil
  }

  /// Writes the text as it is, control sequences among it.
  public static func write(_ text: String, to stream: Stream = .output) throws(Errno) {
    try SystemIO.write(text, to: stream.rawValue)
  }

  /// The next line of standard input, without its end; `nil` at the end of the input. Waits for it.
  public static func readLine() -> String? {
    Swift.readLine()
  }

  /// `nil` for one that is empty, too.
  private static func variable(_ name: String) -> String? {
    environmentVariable(name).flatMap { $0.isEmpty ? nil : $0 }
  }
}
