internal import Wire

/// The parts of a hosts file (hosts(5)) that are the suite's: a block for each daemon. Everything around them stays as
/// it is, byte for byte.
///
/// A block stands between `# BEGIN mnedc INTERFACE OWNER` and `# END mnedc INTERFACE`; the owner tells the daemon that
/// keeps it from every other. A block without an owner is one of version 0.1.0.
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

  /// This block as it is in the file; `nil` if it is not there.
  public func found(in file: [UInt8]) -> [UInt8]? {
    Self.places(in: file).first { $0.block == self }.map { Array(file[$0.range]) }
  }

  /// The file with `lines` in place of this block, and without the blocks that `isStale`; with `nil` without this block
  /// too.
  public func replaced(in file: [UInt8], by lines: [UInt8]?, isStale: (HostsBlock) -> Bool) -> [UInt8] {
    let places = Self.places(in: file)
    // A block takes the place of its own, or else of one for the same interface.
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
    // The last line may lack its end, which is given to it, and stays when the block goes.
    return result + (result.isEmpty || result.last == Self.newline ? [] : [Self.newline]) + lines
  }

  /// Where the blocks are: each from the line that begins it to the line that ends it. One that does not end is the
  /// line that begins it and those of its kind behind it.
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

  /// Whether a line is one of those that are written here: an address, a tab and a name of the domain.
  private static func isOurs(_ line: ArraySlice<UInt8>) -> Bool {
    let suffix = ".\(HostLabel.domain)".utf8
    return line.first != UInt8(ascii: "#") && line.contains(UInt8(ascii: "\t"))
      && line.suffix(suffix.count).elementsEqual(suffix)
  }
}
