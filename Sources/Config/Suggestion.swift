/// The candidate nearest to `text`. `nil` if none is near.
public func suggestion(for text: String, among candidates: [String]) -> String? {
  var best: (candidate: String, distance: Int)?
  for candidate in candidates {
    // One mistake in three characters.
    let limit = max(1, candidate.utf8.count / 3)
    guard abs(candidate.utf8.count - text.utf8.count) <= limit else { continue }
    let distance = editDistance(Array(text.utf8), Array(candidate.utf8))
    if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  return best?.candidate
}

/// The candidate nearest to `text`, else up to three that begin with it.
public func suggestions(for text: String, among candidates: [String]) -> [String] {
  if let nearest = suggestion(for: text, among: candidates) { return [nearest] }
  return text.isEmpty ? [] : Array(candidates.filter { $0.hasPrefix(text) }.sorted().prefix(3))
}

/// The number of insertions, deletions, replacements and swaps of neighbours between the texts (optimal string
/// alignment).
func editDistance(_ from: [UInt8], _ to: [UInt8]) -> Int {
  var beforeLast: [Int] = []
  var last = Array(0...to.count)
  for (row, byte) in zip(1..., from) {
    var current = [row]
    for (column, other) in zip(1..., to) {
      var distance = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (byte == other ? 0 : 1))
      if row > 1, column > 1, byte == to[column - 2], from[row - 2] == other {
        distance = min(distance, beforeLast[column - 2] + 1)
      }
      current.append(distance)
    }
    (beforeLast, last) = (last, current)
  }
  return last[to.count]
}
