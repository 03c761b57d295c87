import Control
import Wire

extension Orchestration.Location {
  /// For people: `192.168.2.5 behind 192.168.2.1, 192.168.1.1; the relay sees 203.0.113.7`.
  var text: String {
    let routers = hops.isEmpty ? "" : " behind \(hops.joined(separator: ", "))"
    return "\(local ?? "this host")\(routers)\(outer.map { "; the relay sees \($0)" } ?? "")"
  }
}
