/// The few colours that the programs use, only where `Terminal.takesColour` says so.
public enum Colour: Int, Sendable {
  case bold = 1
  case dim = 2
  case red = 31
  case green = 32
  case yellow = 33

  /// The text in this colour on a terminal (ECMA-48, SGR).
  public func paint(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }
}
