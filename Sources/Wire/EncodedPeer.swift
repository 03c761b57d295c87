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
  /// The frame of an update by which nobody has left, as `ControlMessage.peers` would encode it.
  public static func frame(
    revision: Int, since: Int?, joined: some Collection<EncodedPeer>, more: Bool?, partial: Bool? = nil
  ) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: FrameHeader.size)
    frame.reserveCapacity(FrameHeader.size + 128 + joined.reduce(0) { $0 + $1.json.count + 1 })
    frame += Array(#"{"joined":["#.utf8)
    var isFirst = true
    for peer in joined {
      if !isFirst { frame.append(UInt8(ascii: ",")) }
      isFirst = false
      frame += peer.json
    }
    let since = since.map { #","since":\#($0)"# } ?? ""
    let more = more.map { #","more":\#($0)"# } ?? ""
    let partial = partial.map { #","partial":\#($0)"# } ?? ""
    frame += Array(#"],"left":[]\#(more)\#(partial),"revision":\#(revision)\#(since),"type":"peers"}"#.utf8)
    let length = frame.count - FrameHeader.size
    frame.withUnsafeMutableBytes { FrameHeader(type: .control, length: length).write(to: $0) }
    return frame
  }
}
