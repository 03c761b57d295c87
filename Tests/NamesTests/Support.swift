import Names
import Wire

/// A query as a resolver sends it.
func question(
  _ name: String, _ type: DNSType = .a, id: UInt16 = 7, flags: UInt16 = 0x100, classCode: UInt16 = 1,
  edns size: UInt16? = nil
) -> [UInt8] {
  var bytes = words(id, flags, 1, 0, 0, size == nil ? 0 : 1)
  for label in name.split(separator: ".") { bytes += [UInt8(label.utf8.count)] + Array(label.utf8) }
  bytes += [0] + words(type.rawValue, classCode)
  if let size { bytes += [0] + words(41, size, 0, 0x8000, 0) }
  return bytes
}

func words(_ words: UInt16...) -> [UInt8] { words.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] } }

func query(_ name: String, _ type: DNSType = .a, classCode: UInt16 = 1) -> DNSQuery {
  guard case .query(let query) = DNSQuery.read(question(name, type, classCode: classCode)) else {
    fatalError("no query")
  }
  return query
}

/// 10.0.0.0/24 with this device, `Own.Hub`, at 10.0.0.2, and `cam` at 10.0.0.3.
func zone() -> Zone {
  var zone = Zone(pool: IPv4Prefix("10.0.0.0/24")!, pool6: IPv6Prefix("fd00:1:2:3::/96"))
  zone.table.setOwn("Own.Hub", IPv4Address("10.0.0.2")!)
  zone.table.add("cam", IPv4Address("10.0.0.3")!)
  return zone
}
