internal import SystemIO

/// Rows of text in columns as wide as they need to be.
public struct Table: Sendable {
  private let header: [String]
  private var rows: [[String]] = []

  public init(_ header: [String]) {
    self.header = header
  }

  /// Adds a row; cells behind the last column are left out, missing ones are empty. What would not be seen on a terminal, or
  /// change how the rest is shown, becomes `?`.
  public mutating func add(_ cells: [String]) {
    rows.append(header.indices.map { $0 < cells.count ? cells[$0].harmless : "" })
  }

  /// The table, without an end of line behind the last row, whole and without colour.
  public var text: String { text(in: Columns()) }

  /// The table for standard output. Where that is a terminal too narrow for it, device IDs are shortened, if that is enough;
  /// otherwise all stays whole, since an ID or a fingerprint is there to be copied.
  public var shown: String {
    var columns = Columns(width: Terminal.width())
    columns.shortening = header.firstIndex(of: "ID")
    columns.cutsLines = false
    if Terminal.takesColour() { columns.colour = { row, _ in row == 0 ? .bold : nil } }
    return text(in: columns)
  }

  private func text(in columns: Columns) -> String {
    columns.lines([header] + rows).joined(separator: "\n")
  }

  /// A time in seconds for people: `12 s`, `3 min`, `5 h`, `2 d`.
  public static func time(_ seconds: Double) -> String {
    switch seconds {
    case ..<120: "\(Int(seconds)) s"
    case ..<7200: "\(Int(seconds / 60)) min"
    case ..<172_800: "\(Int(seconds / 3600)) h"
    default: "\(Int(seconds / 86_400)) d"
    }
  }

  /// Milliseconds for people: `0.312 ms`, `48 ms`.
  public static func milliseconds(_ number: Double) -> String {
    number < 10 ? "\((number * 1000).rounded() / 1000) ms" : "\(Int(number.rounded())) ms"
  }

  /// Bytes for people: `812 B`, `3.1 MiB`.
  /// `1 session`, `2 sessions`.
  public static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }

  /// How much of each kind there was, `none` where there was nothing: `3 late, 1 full`.
  public static func kinds(_ counts: [(count: Int, kind: String)]) -> String {
    let some = counts.filter { $0.count != 0 }.map { "\($0.count) \($0.kind)" }
    return some.isEmpty ? "none" : some.joined(separator: ", ")
  }

  public static func bytes(_ number: Int) -> String {
    var value = Double(number)
    for unit in ["B", "KiB", "MiB", "GiB"] {
      if value < 1024 { return unit == "B" ? "\(number) B" : "\((value * 10).rounded() / 10) \(unit)" }
      value /= 1024
    }
    return "\((value * 10).rounded() / 10) TiB"
  }
}

extension Duration {
  /// Seconds with three decimals, for reports.
  public var roundedSeconds: Double { (seconds * 1000).rounded() / 1000 }

  /// Milliseconds with three decimals, for reports.
  public var milliseconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) * 1000 + (Double(attoseconds) / 1e12).rounded() / 1000
  }
}
