internal import SystemIO

/// Lays out rows of cells as lines with aligned columns.
public struct Columns: Sendable {
  /// How many columns of the terminal a line may take; `nil` for as many as it needs.
  public var width: Int?
  /// The column to shorten first, to no less than `shortest`.
  public var shortening: Int?
  /// Whether a line that is still too long ends in `…`; otherwise it and the shortened column stay whole.
  public var cutsLines = true
  /// The colour of a cell; `nil`: none.
  public var colour: (@Sendable (_ row: Int, _ column: Int) -> Colour?)?

  /// The least width of a shortened column, `…` included.
  public static let shortest = 12
  private static let gap = 2

  public init(width: Int? = nil) {
    self.width = width
  }

  /// One line a row, without spaces at its end.
  public func lines(_ rows: [[String]]) -> [String] {
    var rows = rows
    var widths = Self.widths(rows)
    if let column = shortening, widths.indices.contains(column), let room = room(of: column, widths) {
      for row in rows.indices where rows[row].indices.contains(column) {
        rows[row][column] = rows[row][column].cut(to: room)
      }
      widths[column] = min(widths[column], room)
    }
    return rows.indices.map { line(rows[$0], widths, row: $0) }
  }

  private static func widths(_ rows: [[String]]) -> [Int] {
    var widths = [Int](repeating: 0, count: rows.map(\.count).max() ?? 0)
    for row in rows {
      for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.columns) }
    }
    return widths
  }

  /// The width that the column may have; `nil` if it stays whole.
  private func room(of column: Int, _ widths: [Int]) -> Int? {
    let all = widths.reduce(0, +) + Self.gap * max(0, widths.count - 1)
    guard let width, all > width, widths[column] > Self.shortest else { return nil }
    let fitting = widths[column] - (all - width)
    if fitting < Self.shortest, !cutsLines { return nil }
    return max(Self.shortest, fitting)
  }

  private func line(_ cells: [String], _ widths: [Int], row: Int) -> String {
    var (line, used, gap) = ("", 0, 0)
    let last = cells.lastIndex { !$0.isEmpty } ?? 0
    for (column, cell) in cells.enumerated() {
      let columns = cell.columns
      if !cell.isEmpty {
        if cutsLines, let width, used + gap + columns > width - (column < last ? 1 : 0) {
          // The last column shows that there is more.
          let rest = String(repeating: " ", count: gap) + cell + (column < last ? "  " : "")
          return line + rest.cut(to: width - used)
        }
        line += String(repeating: " ", count: gap) + (colour?(row, column)?.paint(cell) ?? cell)
        used += gap + columns
        gap = 0
      }
      gap += widths[column] + Self.gap - columns
    }
    return line
  }
}

/// The colours of the programs, used where `Terminal.takesColour` allows it.
public enum Colour: Int, Sendable {
  case bold = 1
  case dim = 2
  case red = 31
  case green = 32
  case yellow = 33

  /// The text in this colour on a terminal (ECMA-48, SGR).
  public func paint(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }
}

/// A table with a header.
public struct Table: Sendable {
  private let header: [String]
  private var rows: [[String]] = []

  public init(_ header: [String]) {
    self.header = header
  }

  /// Adds a row. Cells behind the last column are left out, missing ones are empty, and characters that a terminal
  /// would not show as they are become `?`.
  public mutating func add(_ cells: [String]) {
    rows.append(header.indices.map { $0 < cells.count ? cells[$0].harmless : "" })
  }

  /// The table, without an end of line behind the last row, whole and without colour.
  public var text: String { text(in: Columns()) }

  /// The table for standard output. On a narrow terminal device IDs are shortened if that is enough; otherwise all
  /// stays whole, because IDs and fingerprints are copied.
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

  /// `1 session`, `2 sessions`.
  public static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }

  /// The counts that are not zero, or `none`: `3 late, 1 full`.
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
