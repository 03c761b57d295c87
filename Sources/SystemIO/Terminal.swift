internal import CLinux
public import SystemPackage

/// The terminal that standard output is.
public enum Terminal {
  /// How many columns and rows it shows now; `nil` if standard output is no terminal, or one that does not say.
  public static func size() -> (columns: Int, rows: Int)? {
    var (columns, rows) = (UInt16(0), UInt16(0))
    guard clinux_terminal_size(1, &columns, &rows) == 0, columns > 0, rows > 0 else { return nil }
    return (Int(columns), Int(rows))
  }

  /// Writes the text as it is, control sequences among it.
  public static func write(_ text: String) throws(Errno) {
    try SystemIO.write(text, to: 1)
  }
}
