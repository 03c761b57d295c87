/// Rows of text in columns as wide as they need to be.
public struct Table: Sendable {
  private let header: [String]
  private var rows: [[String]] = []

  public init(_ header: [String]) {
    self.header = header
  }

  /// Adds a row; cells behind the last column are left out, missing ones are empty.
  public mutating func add(_ cells: [String]) {
    rows.append(cells)
  }

  /// The table, without an end of line behind the last row.
  public var text: String {
    let all = [header] + rows.map { row in header.indices.map { $0 < row.count ? row[$0] : "" } }
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      let line = zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
      let joined = line.joined(separator: "  ")
      return String(joined.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
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
  public static func bytes(_ number: Int) -> String {
    var value = Double(number)
    for unit in ["B", "KiB", "MiB", "GiB"] {
      if value < 1024 { return unit == "B" ? "\(number) B" : "\((value * 10).rounded() / 10) \(unit)" }
      value /= 1024
    }
    return "\((value * 10).rounded() / 10) TiB"
  }
}
