internal import CLinux
internal import Glibc
public import SystemPackage

/// The terminal behind a standard stream: width and colour, by the same rules in all programs.
public enum Terminal {
  public enum Stream: Int32, Sendable {
    case input = 0
    case output = 1
    case error = 2
  }

  /// Whether the stream is a terminal.
  public static func isOne(_ stream: Stream = .output) -> Bool { isatty(stream.rawValue) == 1 }

  /// How many columns and rows it shows now; `nil` if it is no terminal, or one that does not tell.
  public static func size(_ stream: Stream = .output) -> (columns: Int, rows: Int)? {
    guard let (columns, rows) = windowSize(stream), columns > 0, rows > 0 else { return nil }
    return (width(stream) ?? columns, rows)
  }

  /// How many columns a line may take, by the variable COLUMNS or else the terminal; `nil` if the stream is no
  /// terminal, or neither tells.
  public static func width(_ stream: Stream = .output) -> Int? {
    guard isOne(stream) else { return nil }
    if let wanted = variable("COLUMNS").flatMap({ Int($0) }), wanted > 0 { return wanted }
    guard let (columns, _) = windowSize(stream), columns > 0 else { return nil }
    return columns
  }

  private static func windowSize(_ stream: Stream) -> (columns: Int, rows: Int)? {
    var (columns, rows) = (UInt16(0), UInt16(0))
    return clinux_terminal_size(stream.rawValue, &columns, &rows) == 0 ? (Int(columns), Int(rows)) : nil
  }

  /// Whether it is a terminal that obeys control sequences: TERM is set, and not to `dumb`.
  public static func takesControl(_ stream: Stream = .output) -> Bool {
    guard isOne(stream), let kind = variable("TERM") else { return false }
    return kind != "dumb"
  }

  /// Whether to use colours: on a terminal that obeys control sequences, unless NO_COLOR is set (https://no-color.org).
  public static func takesColour(_ stream: Stream = .output) -> Bool {
    takesControl(stream) && variable("NO_COLOR") == nil
  }

  /// Writes the text as it is, including control sequences.
  public static func write(_ text: String, to stream: Stream = .output) throws(Errno) {
    try SystemIO.write(Array(text.utf8), to: stream.rawValue)
  }

  /// Waits for the next line of standard input, without its end; `nil` at the end of the input.
  public static func readLine() -> String? {
    Swift.readLine()
  }

  /// `nil` also for an empty variable.
  private static func variable(_ name: String) -> String? {
    environmentVariable(name).flatMap { $0.isEmpty ? nil : $0 }
  }
}
