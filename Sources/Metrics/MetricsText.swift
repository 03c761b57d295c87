public import Control

/// The two text formats of metrics.
public enum MetricsFormat: String, CaseIterable, Sendable {
  /// https://prometheus.io/docs/specs/om/open_metrics_spec/, version 1.0.0.
  case openMetrics = "openmetrics"
  /// https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
  case prometheus

  /// For HTTP's Content-Type.
  public var contentType: String {
    switch self {
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
    }
  }

  /// The whole text, with an end of line.
  public func text(_ report: MetricsReport) -> String {
    var text = ""
    for family in report.families { append(family, to: &text) }
    if self == .openMetrics { text += "# EOF\n" }
    return text
  }

  private func append(_ family: MetricsReport.Family, to text: inout String) {
    let sampleName = family.name + family.type.suffix
    // OpenMetrics names the family, Prometheus its samples; Prometheus has no type `info`.
    let name = self == .openMetrics ? family.name : sampleName
    let type = self == .openMetrics || family.type != .info ? family.type.rawValue : "gauge"
    text += "# TYPE \(name) \(type)\n"
    if self == .openMetrics, let unit = family.unit { text += "# UNIT \(name) \(unit)\n" }
    text += "# HELP \(name) \(escaped(help: family.help))\n"
    for sample in family.samples {
      text += sampleName
      if !sample.labels.isEmpty {
        let labels = sample.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }
        text += "{\(labels.joined(separator: ","))}"
      }
      text += " \(family.unit == "seconds" ? Self.seconds(sample.value) : Self.number(sample.value))\n"
    }
  }

  private func escaped(help: String) -> String {
    // Prometheus' own text has no escape for a quotation mark here.
    self == .openMetrics ? Self.escaped(help) : Self.escaped(help, quotes: false)
  }

  private static func escaped(_ text: String, quotes: Bool = true) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  /// Times are whole nanoseconds, written without an exponent and without the error of binary fractions. Times from 104
  /// days on, which a `Double` does not resolve to nanoseconds, are written as other numbers are.
  private static func seconds(_ value: Double) -> String {
    let nanoseconds = (value * 1e9).rounded()
    guard nanoseconds.magnitude < 0x1p53 else { return number(value) }
    let (whole, rest) = Int64(nanoseconds.magnitude).quotientAndRemainder(dividingBy: 1_000_000_000)
    let text = (nanoseconds < 0 ? "-" : "") + "\(whole)"
    guard rest != 0 else { return text }
    // The leading digit keeps the zeros behind it.
    var fraction = "\(1_000_000_000 + rest)".dropFirst()
    while fraction.last == "0" { fraction.removeLast() }
    return "\(text).\(fraction)"
  }

  /// Whole numbers without a fraction, the rest as short as it can be.
  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return Int(exactly: value).map { "\($0)" } ?? "\(value)"
  }
}

extension MetricsReport.Kind {
  /// The suffix of a sample's name.
  public var suffix: String {
    switch self {
    case .gauge: ""
    case .counter: "_total"
    case .info: "_info"
    }
  }
}
