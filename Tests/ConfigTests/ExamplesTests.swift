import Config
import Glibc
import Testing
import Wire

/// The shipped examples are input like any other file.
@Suite struct ExamplesTests {
  @Test func `the full example is the defaults and shows every key`() throws {
    let bytes = try example("mnedc.yaml")
    #expect(try Settings.load(bytes, file: "mnedc.yaml") == Settings())
    let keys = String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
      line.drop { $0 == " " || $0 == "#" }.split(separator: ":").first.map { String($0) }
    }
    for key in Settings.keys {
      #expect(keys.contains(key.split(separator: ".").last.map { String($0) } ?? key), "\(key)")
    }
  }

  @Test func `what the full example has commented out is right too`() throws {
    let text = String(decoding: try example("mnedc.yaml"), as: UTF8.self)
    for key in [
      "server: relay.example", "server: [", "server-key: ", "device-id: ", "server-ip: ", "address: ",
      "peer-keys: ", "on-peer: ", "host-name: ", "platform: ", "execution-type: ", "services: ", "labels: ",
      "addresses: ",
      "public-address: ", "listen: 9834",
    ] {
      #expect(text.contains("# \(key)"))
      _ = try load(
        text.replacing("# \(key)", with: key).replacing("# port: ", with: key == "server-ip: " ? "port: " : "# "))
    }
  }

  @Test func `the short examples load`() throws {
    let relay = try Settings.load(example("relay.yaml"), file: "relay.yaml")
    #expect(ValueKind.pool.text(relay.relay.pool) == "10.64.0.0/22")
    let device = try Settings.load(example("device.yaml"), file: "device.yaml")
    #expect(device.servers.map(\.description) == ["relay.example:3334", "192.168.50.10:3334"])
    #expect(device.deviceID == "kitchen-hub")
    #expect(device.join.timeout == .seconds(120))
    #expect(device.join.orchestration.services.map(\.name) == ["detector", "camera"])
  }

  private func example(_ name: String) throws -> [UInt8] {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let file = try #require(fopen("/\(root)/examples/\(name)", "r"), "no example \(name)")
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: Settings.maximumFileSize)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    return bytes
  }
}
