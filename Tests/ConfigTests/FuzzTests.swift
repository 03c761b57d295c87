import Config
import Testing

@Suite struct FuzzTests {
  static let seed = """
    # all keys
    server: [relay.example:3334, "[2001:db8::1]:3334", 'a']
    device-id: &id kitchen-hub
    log-level: info
    server-key: mnedc-relay:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    join: {peer-keys: {a: mnedc-device:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}, interface: *id
      ,mtu: 1400, address: 10.0.0.7, timeout: 30s
      ,orchestration: {host-name: a.b, platform: linux/arm64, execution-type: native
        ,services: [a, {name: b, port: 1}], labels: {x: y}}}
    relay:
      listen:
        - "[::]:3334"
        - 0.0.0.0:1
      pool: 10.0.0.0/24
      device: true
      keepalive: 500ms
      idle-keepalive: 1m
      queue: >-
        4MiB
      threads: auto
      user: mnedc
      public-address: [a]
      socket: |-
        /run/mnedc/mnedcd.sock
    """

  @Test(arguments: 0..<4)
  func `no mutation of a file makes the loader fail in another way than by an error`(run: Int) {
    var numbers = Numbers(state: UInt64(run))
    var loaded = 0
    for _ in 0..<1500 {
      var bytes = Array(Self.seed.utf8)
      for _ in 0..<Int.random(in: 1...6, using: &numbers) { mutate(&bytes, &numbers) }
      do throws(ConfigError) {
        let settings = try Settings.load(bytes, file: "f")
        loaded += 1
        #expect((try? load(settings.render())) == settings)
      } catch {
        let lines = bytes.count { $0 == 10 || $0 == 13 || $0 == 0x85 || $0 == 0xA8 || $0 == 0xA9 } + 2
        #expect(!error.problems.isEmpty)
        #expect(error.problems.allSatisfy { (1...lines).contains($0.line) && $0.column >= 1 && !$0.message.isEmpty })
        #expect(error.problems.map(\.line) == error.problems.map(\.line).sorted())
        #expect(error.description.utf8.allSatisfy { $0 >= 0x20 || $0 == 10 }, "the message could steer a terminal")
      }
    }
    // Else the mutations would try nothing but the first lines of the parser.
    #expect(loaded > 20)
  }

  private func mutate(_ bytes: inout [UInt8], _ numbers: inout Numbers) {
    let place = Int.random(in: 0..<bytes.count, using: &numbers)
    let slice = place..<min(bytes.count, place + .random(in: 1...20, using: &numbers))
    switch Int.random(in: 0..<6, using: &numbers) {
    case 0: bytes[place] = .random(in: 0...255, using: &numbers)
    case 1: bytes[place] ^= UInt8(1) << Int.random(in: 0..<8, using: &numbers)
    case 2: bytes.insert("[]{}:,-?&*!|>'\"%@`#\n\t \\~01".utf8.randomElement(using: &numbers)!, at: place)
    case 3: bytes.insert(contentsOf: bytes[slice], at: .random(in: 0...bytes.count, using: &numbers))
    case 4 where bytes.count > 100: bytes.removeSubrange(slice)
    default: bytes.swapAt(place, .random(in: 0..<bytes.count, using: &numbers))
    }
  }
}
