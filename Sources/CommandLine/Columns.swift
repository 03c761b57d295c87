/// Rows of cells as lines with columns below each other: the one way in which the programs lay out a table.
public struct Columns: Sendable {
  /// How many columns of the terminal a line may take; `nil` for as many as it needs.
  public var width: Int?
  /// The column of long texts that is shortened first, but to no less than `shortest`.
  public var shortening: Int?
  /// Whether a line that is too long even so ends in `…`; otherwise it stays whole, and so does the column above.
  public var cutsLines = true
  /// The colour of the cell in this row and column; without it, there is none.
  public var colour: (@Sendable (_ row: Int, _ column: Int) -> Colour?)?

  /// How far a column is shortened, `…` included.
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

  /// How wide the column may be; `nil` if it stays as it is.
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
          // Its last column is for what says that there is more.
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
