/// A message about the path that it takes between two devices, in a sealed frame of the kind `path`.
///
///     0         1         2          4           8           16
///     | type 8  | zero 8  | count 16 | switch 32 | number 64 |
///
/// Further bytes are ignored.
public enum PathMessage: Sendable, Equatable {
  /// Asks for a response with the same number on the same path.
  case challenge(UInt64)
  case response(UInt64)
  /// The highest counter that the sender has received on the path.
  case report(highest: UInt64)
  /// The last frame of a flow on this path before the sender moves to another; `flows` of them are sent.
  case end(change: UInt32, flows: UInt16)
  /// The first frame on a path after the sender has sent `flows` of `end` on another.
  case begin(change: UInt32, flows: UInt16)

  public static let size = 16

  private enum Kind: UInt8 {
    case challenge = 1
    case response
    case report
    case end
    case begin
  }

  /// `nil` for what is too short or of an unknown type.
  public init?(parsing content: RawSpan) {
    guard content.byteCount >= Self.size, let kind = Kind(rawValue: content.byte(0)) else { return nil }
    let (flows, change, number) = (content.word16(2), content.word32(4), content.word64(8))
    self =
      switch kind {
      case .challenge: .challenge(number)
      case .response: .response(number)
      case .report: .report(highest: number)
      case .end: .end(change: change, flows: flows)
      case .begin: .begin(change: change, flows: flows)
      }
  }

  public var bytes: [UInt8] {
    let (kind, flows, change, number): (Kind, UInt16, UInt32, UInt64) =
      switch self {
      case .challenge(let number): (.challenge, 0, 0, number)
      case .response(let number): (.response, 0, 0, number)
      case .report(let highest): (.report, 0, 0, highest)
      case .end(let change, let flows): (.end, flows, change, 0)
      case .begin(let change, let flows): (.begin, flows, change, 0)
      }
    return [kind.rawValue, 0] + withUnsafeBytes(of: flows.bigEndian) { Array($0) }
      + withUnsafeBytes(of: change.bigEndian) { Array($0) } + withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }
}
