import Config
import Glibc
import Testing
import Wire

/// The shipped examples are input like any other file.
@Suite struct ExamplesTests {
  @Test func `the full example is the defaults as they are printed, with comments`() throws {
    let bytes = try example("mnedc.yaml")
    #expect(try Settings.load(bytes, file: "mnedc.yaml") == Settings())
    let values = { (text: String) in
      text.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("#") && !$0.hasSuffix(":") }
    }
    #expect(values(String(decoding: bytes, as: UTF8.self)) == values(Settings().render()))
  }

  @Test func `the full example shows each key without a default in a comment, and that is right too`() throws {
    let lines = String(decoding: try example("mnedc.yaml"), as: UTF8.self).split(separator: "\n").map { String($0) }
    let names = Set(Settings.keys.compactMap { $0.path.split(separator: ".").last.map { "\($0)" } })
    var missing = names.filter { name in !lines.contains { $0.drop { $0 == " " }.hasPrefix("\(name): ") } }
    for (number, line) in lines.enumerated() {
      let parts = line.split(separator: "# ", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let name = parts[1].split(separator: ":").first, names.contains("\(name)") else {
        continue
      }
      missing.remove("\(name)")
      var file = lines
      file[number] = parts.joined()
      // It needs the line before it.
      if name == "port" { file[number - 1] = file[number - 1].replacing("# ", with: "") }
      let settings = try load(file.joined(separator: "\n"))
      #expect(settings != Settings(), "\(line)")
    }
    #expect(missing.isEmpty)
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
