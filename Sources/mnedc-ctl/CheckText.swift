import Control

/// Checks as text: one line each, with the advice below it.
enum CheckText {
  static func lines(_ checks: [CheckReport], indent: String = "") -> String {
    let width = checks.map(\.name.count).max() ?? 0
    return checks.map { check in
      let result = word(check.result)
      let head = indent + result + String(repeating: " ", count: 6 - result.count)
      let name = check.name + String(repeating: " ", count: width + 2 - check.name.count)
      let advice = check.advice.map { "\n\(indent)\(String(repeating: " ", count: width + 8))→ \($0)" } ?? ""
      return head + name + check.finding + advice
    }.joined(separator: "\n")
  }

  private static func word(_ result: CheckReport.Result) -> String {
    switch result {
    case .ok: "ok"
    case .warn: "warn"
    case .fail: "FAIL"
    case .skipped: "-"
    }
  }
}
