internal import Wire

/// The part of a hosts file (hosts(5)) that is ours; everything around it stays as it is, byte for byte.
public enum HostsBlock {
  /// What stands in front of the part for an interface, and behind it. Several networks can have a part each.
  static func begin(_ interface: String) -> String { "# BEGIN mnedc \(interface)" }
  static func end(_ interface: String) -> String { "# END mnedc \(interface)" }

  private static let newline = UInt8(ascii: "\n")

  /// The file with the names in place of those that were there for this interface; without any, if `zone` is `nil`.
  public static func replacing(in file: [UInt8], for interface: String, with zone: Zone?) -> [UInt8] {
    let block = zone.map { lines(interface, $0) } ?? []
    guard let place = place(in: file, interface) else {
      if block.isEmpty { return file }
      // The last line may lack its end, which is given to it, and stays when the block goes.
      return file + (file.isEmpty || file.last == newline ? [] : [newline]) + block
    }
    return file[..<place.lowerBound] + block + file[place.upperBound...]
  }

  /// Where the part is: from the line that begins it to the line that ends it. One that does not end is the line that begins it
  /// and those of our kind behind it.
  private static func place(in file: [UInt8], _ interface: String) -> Range<Int>? {
    let (first, last) = (Array(begin(interface).utf8), Array(end(interface).utf8))
    var start: Int?
    var ours = 0
    var place = 0
    while place < file.count {
      let next = file[place...].firstIndex(of: newline).map { $0 + 1 } ?? file.count
      let line = file[place..<next]
      let text = line.last == newline ? line.dropLast() : line
      if let start {
        if text.elementsEqual(last) { return start..<next }
        guard isOurs(text) else { return start..<ours }
        ours = next
      } else if text.elementsEqual(first) {
        start = place
        ours = next
      }
      place = next
    }
    return start.map { $0..<ours }
  }

  /// Whether a line is one of those that are written here: an address, a tab and a name of the domain.
  private static func isOurs(_ line: ArraySlice<UInt8>) -> Bool {
    let suffix = ".\(HostLabel.domain)".utf8
    return line.first != UInt8(ascii: "#") && line.contains(UInt8(ascii: "\t"))
      && line.suffix(suffix.count).elementsEqual(suffix)
  }

  private static func lines(_ interface: String, _ zone: Zone) -> [UInt8] {
    var text = begin(interface) + "\n"
    for entry in zone.table.entries {
      text += "\(entry.address)\t\(entry.label).\(zone.domain)\n"
      if let pool6 = zone.pool6 { text += "\(pool6.address(of: entry.address))\t\(entry.label).\(zone.domain)\n" }
    }
    return Array((text + end(interface) + "\n").utf8)
  }
}
