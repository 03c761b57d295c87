// What others have written ends up on terminals and in logs, where some characters do more than to be seen.

extension Unicode.Scalar {
  /// Neither a control, nor a format character that changes how others are shown, nor a line's end.
  public var isHarmless: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: false
    default: true
    }
  }

  /// Harmless, and of a meaning that is the same everywhere.
  public var isVisible: Bool {
    switch properties.generalCategory {
    case .privateUse, .unassigned: false
    default: isHarmless
    }
  }
}

extension String {
  /// With `replacement` for every character that does not pass `test`.
  public func replacing(unless test: (Unicode.Scalar) -> Bool, with replacement: Unicode.Scalar) -> String {
    String(String.UnicodeScalarView(unicodeScalars.map { test($0) ? $0 : replacement }))
  }
}
