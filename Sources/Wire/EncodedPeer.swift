internal import FoundationEssentials

/// A peer as it stands in an update, encoded once for all the updates that it is in: when a thousand devices join, each of them
/// is told of all the others.
public struct EncodedPeer: Sendable {
  fileprivate let json: [UInt8]

  public init(_ peer: Peer) {
    guard let data = try? ControlMessage.encoder.encode(peer) else { preconditionFailure("every peer is valid JSON") }
    json = Array(data)
  }
}

extension PeerUpdate {
  /// The frame of an update, as `ControlMessage.peers` would encode it.
  public static func frame(
    revision: Int, since: Int?, joined: some Collection<EncodedPeer>, left: [IPv4Address] = [],
    dismissed: [IPv4Address] = [], more: Bool? = nil, partial: Bool? = nil
  ) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.reserveCapacity(
      FrameHeader.size + 128 + joined.reduce(0) { $0 + $1.json.count + 1 } + 18 * (left.count + dismissed.count))
    frame += #"{"#.utf8
    if !dismissed.isEmpty { frame += #""dismissed":[\#(list(dismissed))],"#.utf8 }
    frame += #""joined":["#.utf8
    var isFirst = true
    for peer in joined {
      if !isFirst { frame.append(UInt8(ascii: ",")) }
      isFirst = false
      frame += peer.json
    }
    frame += #"],"left":[\#(list(left))],"#.utf8
    if let more { frame += #""more":\#(more),"#.utf8 }
    if let partial { frame += #""partial":\#(partial),"#.utf8 }
    frame += #""revision":\#(revision),"#.utf8
    if let since { frame += #""since":\#(since),"#.utf8 }
    frame += #""type":"peers"}"#.utf8
    let length = frame.count - FrameHeader.size
    frame.withUnsafeMutableBytes { FrameHeader(type: .control, length: length).write(to: $0) }
    return frame
  }

  private static func list(_ addresses: [IPv4Address]) -> String {
    addresses.map { #""\#($0)""# }.joined(separator: ",")
  }
}
