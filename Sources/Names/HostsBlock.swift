internal import Wire

/// The suite's blocks in a hosts file (hosts(5)), one for each daemon. All other bytes stay as they are.
///
/// A block stands between `# BEGIN mnedc INTERFACE OWNER` and `# END mnedc INTERFACE`; the owner identifies the daemon
/// that keeps it. A block without an owner is of version 0.1.0.
public struct HostsBlock: Equatable, Sendable {
  public let interface: String
  public let owner: String

  private static let opening = "# BEGIN mnedc "
  private static let newline = UInt8(ascii: "\n")

  public init(interface: String, owner: String) {
    self.interface = interface
    self.owner = owner
  }

  private var end: String { "# END mnedc \(interface)" }

  /// The lines of this block with the names of the zone.
  public func lines(_ zone: Zone) -> [UInt8] {
    var text = Self.opening + interface + (owner.isEmpty ? "" : " \(owner)") + "\n"
    for entry in zone.table.entries {
      text += "\(entry.address)\t\(entry.label).\(zone.domain)\n"
      if let pool6 = zone.pool6 { text += "\(pool6.address(of: entry.address))\t\(entry.label).\(zone.domain)\n" }
    }
    return Array((text + end + "\n").utf8)
  }

  /// This block in the file; `nil` if it is not there.
  public func found(in file: [UInt8]) -> [UInt8]? {
    Self.places(in: file).first { $0.block == self }.map { Array(file[$0.range]) }
  }

  /// The file with `lines` in place of this block, or without it if they are `nil`, and without the blocks that
  /// `isStale`.
  public func replaced(in file: [UInt8], by lines: [UInt8]?, isStale: (HostsBlock) -> Bool) -> [UInt8] {
    let places = Self.places(in: file)
    // A block replaces its own, or else one for the same interface.
    let place =
      places.first { $0.block == self } ?? places.first { $0.block.interface == interface && isStale($0.block) }
    var result: [UInt8] = []
    var next = 0
    for each in places where each.block == self || isStale(each.block) {
      result += file[next..<each.range.lowerBound]
      if each.range == place?.range { result += lines ?? [] }
      next = each.range.upperBound
    }
    result += file[next...]
    guard place == nil, let lines else { return result }
    // The last line may lack its end. It gets one, which stays when the block goes.
    return result + (result.isEmpty || result.last == Self.newline ? [] : [Self.newline]) + lines
  }

  /// The lines of each block. A block without an end is its first line and the lines of a block behind it.
  private static func places(in file: [UInt8]) -> [(block: HostsBlock, range: Range<Int>)] {
    var places: [(block: HostsBlock, range: Range<Int>)] = []
    var open: (block: HostsBlock, range: Range<Int>)?
    var next = 0
    while next < file.count {
      let start = next
      next = file[start...].firstIndex(of: newline).map { $0 + 1 } ?? file.count
      let line = file[start..<next]
      let text = line.last == newline ? line.dropLast() : line
      if let block = open {
        let isEnd = text.elementsEqual(block.block.end.utf8)
        if isEnd || isOurs(text) { open!.range = block.range.lowerBound..<next }
        if !isEnd, isOurs(text) { continue }
        places.append(open!)
        open = nil
        if isEnd { continue }
      }
      open = HostsBlock(opening: text).map { ($0, start..<next) }
    }
    return places + (open.map { [$0] } ?? [])
  }

  private init?(opening text: ArraySlice<UInt8>) {
    guard text.starts(with: Self.opening.utf8) else { return nil }
    let rest = text.dropFirst(Self.opening.utf8.count)
    let name = rest.prefix { $0 != UInt8(ascii: " ") }
    guard !name.isEmpty else { return nil }
    self.init(
      interface: String(decoding: name, as: UTF8.self),
      owner: String(decoding: rest.dropFirst(name.count + 1), as: UTF8.self))
  }

  /// Whether the line is one of a block: an address, a tab and a name of the domain.
  private static func isOurs(_ line: ArraySlice<UInt8>) -> Bool {
    let suffix = ".\(HostLabel.domain)".utf8
    return line.first != UInt8(ascii: "#") && line.contains(UInt8(ascii: "\t"))
      && line.suffix(suffix.count).elementsEqual(suffix)
  }
}
