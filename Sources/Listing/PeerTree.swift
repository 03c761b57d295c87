internal import CommandLine
public import Control
internal import Wire

/// Peers grouped by NAT: outer addresses, below them private routers, below those devices.
public struct PeerTree: Sendable {
  private struct Node: Sendable {
    var name: String
    var children: [Node] = []
    var leaves: [String] = []

    mutating func add(_ leaf: String, below path: ArraySlice<String>) {
      guard let first = path.first else { return leaves.append(leaf) }
      if let index = children.firstIndex(where: { $0.name == first }) {
        children[index].add(leaf, below: path.dropFirst())
      } else {
        var child = Node(name: first)
        child.add(leaf, below: path.dropFirst())
        children.append(child)
      }
    }
  }

  private var root = Node(name: "")
  private var relay = Node(name: "relay")
  private var unknown = Node(name: "unknown")

  /// `relay` is the address of the relay's host, which has no NAT here.
  public init(_ peers: [PeersReport.Peer], of host: PeersReport.Peer? = nil, relay relayAddress: String? = nil) {
    for (index, peer) in (peers + (host.map { [$0] } ?? [])).enumerated() {
      let state = index == peers.count ? "this host" : peer.state.rawValue
      let leaf = "\(peer.address) \(peer.deviceId) \(state)".harmless
      if peer.address == relayAddress {
        relay.add(leaf, below: [])
        continue
      }
      guard let outer = Self.host(peer.outerAddress) ?? peer.place?.outer else {
        unknown.add(leaf, below: [])
        continue
      }
      // The outermost router first. The ends of the path are no routers.
      let routers = (peer.place?.hops ?? []).reversed().filter { $0 != outer }
      root.add(leaf, below: ([outer] + routers).map(\.harmless)[...])
    }
  }

  /// Lines of text, cut to `width` columns.
  public func text(width: Int? = nil) -> String {
    var lines: [String] = []
    let nodes = (relay.leaves.isEmpty ? [] : [relay]) + root.children + (unknown.leaves.isEmpty ? [] : [unknown])
    for node in nodes { Self.draw(node, "", "", &lines) }
    return lines.map { line in width.map { line.cut(to: $0) } ?? line }.joined(separator: "\n")
  }

  private static func draw(_ node: Node, _ first: String, _ rest: String, _ lines: inout [String]) {
    lines.append(first + node.name)
    let count = node.children.count + node.leaves.count
    for (index, leaf) in node.leaves.enumerated() {
      lines.append(rest + (index == count - 1 ? "└─ " : "├─ ") + leaf)
    }
    for (index, child) in node.children.enumerated() {
      let isLast = index == node.children.count - 1
      draw(child, rest + (isLast ? "└─ " : "├─ "), rest + (isLast ? "   " : "│  "), &lines)
    }
  }

  /// An address without its port, of `192.0.2.7:40000` or `[2001:db8::7]:40000`; `nil` for text that is not an
  /// address, such as `this host`.
  private static func host(_ address: String?) -> String? {
    guard let address, let colon = address.lastIndex(of: ":") else { return nil }
    let host = address[..<colon]
    return host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : String(host)
  }
}
