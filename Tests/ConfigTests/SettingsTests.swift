import Config
import Testing
import Wire

@Suite struct SettingsTests {
  @Test func `a file with mistakes still says where daemons are`() {
    let text = "relay: {socket: /run/own.sock, sockets: a, pool: b}\njoin: {socket: c}\nserver:"
    let settings = Settings.loadInPart(Array(text.utf8))
    #expect(settings.relay.socket == "/run/own.sock" && settings.relay.pool == Settings().relay.pool)
    #expect(settings.join.socket == Settings().join.socket)
    #expect(Settings.loadInPart(Array("relay: {socket: /run/own.sock".utf8)) == Settings())
  }

  @Test(arguments: ["", "\n", "# nothing\n", "---\n", "---\n...\n", "~", "{}", "join:\nrelay:\n", "\u{FEFF}"])
  func `a file that says nothing is all defaults`(text: String) throws {
    #expect(try load(text) == Settings())
  }

  @Test func `every key reaches its setting`() throws {
    let settings = try load(
      """
      server: [relay.example, "[2001:db8::10]:4000"]
      server-key: [\(ValueTests.relay)]
      device-id: kitchen-hub
      log-level: debug
      metrics:
        listen: [9834, "[::1]:9834", 0.0.0.0:80]
        peer-limit: 0
      join:
        interface: up0
        mtu: 9000
        address: 10.0.0.7
        timeout: 1m
        offload: "off"
        socket: /run/a.sock
        state: /var/a
        cipher: aes-256-gcm
        congestion-control: system
        peer-keys:
          shop-1: \(ValueTests.device)
          shop-2: "\(ValueTests.other)"
        names: resolver
        hosts-file: /etc/hosts
        peer-information: 16384
        direct: "off"
        direct-port: 4443
        direct-max-offline: 2h
        orchestration:
          host-name: cam.lan
          platform: linux/arm64
          execution-type: container
          services:
            - detector
            - {name: camera, version: 1.20, port: 554, protocol: rtsp, health: degraded}
          labels: {zone: hall, gpu: yes}
      relay:
        listen: ["[::1]:0", 127.0.0.1:3335]
        pool: 172.16.0.0/12
        pool6: fd12:3456:789a:1::/96
        lease-age: 2d
        addresses: {cam: 172.16.0.9, "10.0.0.7": 172.20.0.1}
        device: false
        interface: relay0
        mtu: 576
        offload: off
        keepalive: 500ms
        idle-keepalive: 10m
        congestion-control: system
        queue: 256KiB
        memory: 1GiB
        threads: 3
        socket: /run/b.sock
        state: /var/b
        admission: approve
        user: relay
        public-address: [relay.example, 192.0.2.1:80]
      """)
    var expected = Settings()
    expected.servers = [ServerAddress(host: "relay.example"), ServerAddress(host: "2001:db8::10", port: 4000)]
    expected.serverKeys = [ValueTests.key]
    expected.deviceID = "kitchen-hub"
    expected.logLevel = .debug
    expected.metrics.listen = [
      ServerAddress(host: "127.0.0.1", port: 9834), ServerAddress(host: "::1", port: 9834),
      ServerAddress(host: "0.0.0.0", port: 80),
    ]
    expected.metrics.peerLimit = 0
    expected.join.interface = "up0"
    expected.join.mtu = 9000
    expected.join.address = IPv4Address("10.0.0.7")
    expected.join.timeout = .seconds(60)
    expected.join.offload = .off
    expected.join.socket = "/run/a.sock"
    expected.join.state = "/var/a"
    expected.join.cipher = .aes256GCM
    expected.join.congestionControl = .system
    expected.join.peerKeys = ["shop-1": ValueTests.key, "shop-2": ValueTests.key.reversed()]
    expected.join.names = .resolver
    expected.join.hostsFile = .path("/etc/hosts")
    expected.join.peerInformation = 16384
    expected.join.direct = .off
    expected.join.directPort = 4443
    expected.join.directMaxOffline = .seconds(7200)
    expected.join.orchestration.hostName = "cam.lan"
    expected.join.orchestration.platform = "linux/arm64"
    expected.join.orchestration.executionType = "container"
    expected.join.orchestration.services = [
      .init(name: "detector"),
      .init(name: "camera", version: "1.20", port: 554, protocol: "rtsp", health: .degraded),
    ]
    expected.join.orchestration.labels = ["zone": "hall", "gpu": "yes"]
    expected.relay.listen = [ServerAddress(host: "::1", port: 0), ServerAddress(host: "127.0.0.1", port: 3335)]
    expected.relay.pool = .prefix(try #require(IPv4Prefix("172.16.0.0/12")))
    expected.relay.pool6 = .prefix(try #require(IPv6Prefix("fd12:3456:789a:1::/96")))
    expected.relay.leaseAge = .seconds(2 * 86_400)
    expected.relay.addresses = [
      "cam": IPv4Address(bits: 0xAC10_0009), "10.0.0.7": IPv4Address(bits: 0xAC14_0001),
    ]
    expected.relay.device = false
    expected.relay.interface = "relay0"
    expected.relay.mtu = 576
    expected.relay.offload = .off
    expected.relay.keepalive = .milliseconds(500)
    expected.relay.idleKeepalive = .seconds(600)
    expected.relay.congestionControl = .system
    expected.relay.queue = 262_144
    expected.relay.memory = 1 << 30
    expected.relay.threads = .count(3)
    expected.relay.socket = "/run/b.sock"
    expected.relay.state = "/var/b"
    expected.relay.admission = .approve
    expected.relay.user = .named("relay")
    expected.relay.publicAddresses = [
      ServerAddress(host: "relay.example"), ServerAddress(host: "192.0.2.1", port: 80),
    ]
    #expect(settings == expected)
  }

  @Test func `an idle keepalive is never below the keepalive`() throws {
    #expect(try load("relay: {keepalive: 1m}").relay.idleKeepalive == .seconds(60))
    #expect(try load("relay: {idle-keepalive: 1m, keepalive: 1m}").relay.idleKeepalive == .seconds(60))
    let problem = #expect(throws: ConfigError.self) { try load("relay: {keepalive: 1m, idle-keepalive: 59s}") }
    #expect(
      problem?.problems.map(\.message) == ["idle-keepalive is less than keepalive; give 1m or more, or leave it out"])
  }

  @Test func `the reference implementation's file is read as it is`() throws {
    let settings = try load("server-ip: 10.1.2.3\nport: 8000\n")
    #expect(settings.servers == [ServerAddress(host: "10.1.2.3", port: 8000)])
    #expect(try load("port: 8000\nserver-ip: \"10.1.2.3\"\n") == settings)
  }

  @Test(arguments: ["10.1.2.3", "fd00::1", "\"[fd00::1]\"", "relay.example"])
  func `server-ip alone means the default port`(host: String) throws {
    let host = host.filter { !"[]\"".contains($0) }
    #expect(try load("server-ip: \(host)").servers == [ServerAddress(host: host, port: 3334)])
  }

  @Test func `a value may be shared by an anchor and its aliases`() throws {
    let settings = try load("join: {mtu: &mtu 1300, interface: &name up0}\nrelay: {mtu: *mtu, interface: *name}\n")
    #expect(settings.join.mtu == 1300)
    #expect(settings.relay.mtu == 1300)
    #expect(settings.relay.interface == "up0")
  }
}
