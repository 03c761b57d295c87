/// A report that may be long: written and read by hand, in about a fifth of the time that `Codable` takes. Both give the same.
protocol LeanJSON: Codable {
  func write(to json: inout JSONWriter)
  init(reading json: inout JSONReader) throws(JSONReader.Malformed)
}

extension PeersReport: LeanJSON {
  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("collision", collision) { $0.write($1) }
      json.member("complete") { $0.write(complete) }
      json.member("disconnected", disconnected) { $0.write($1) }
      json.member("network", network) { $0.write($1) }
      json.member("peers") { $0.array(peers) { $1.write(to: &$0) } }
      json.member("relay_address", relayAddress) { $0.write($1) }
      json.member("self", self.`self`) { $1.write(to: &$0) }
      json.member("version") { $0.write(version) }
    }
  }

  init(reading json: inout JSONReader) throws(JSONReader.Malformed) {
    var complete: Bool?
    var peers: [Peer]?
    var (network, relayAddress, own, version) = (String?.none, String?.none, Peer?.none, 0)
    var disconnected: String?
    var collision: String?
    try json.object { key, json throws(JSONReader.Malformed) in
      switch key {
      case "collision": collision = try json.string()
      case "complete": complete = try json.bool()
      case "disconnected": disconnected = try json.string()
      case "network": network = try json.string()
      case "peers": peers = try json.array { json throws(JSONReader.Malformed) in try Peer(reading: &json) }
      case "relay_address": relayAddress = try json.string()
      case "self": own = try Peer(reading: &json)
      case "version": version = try json.whole()
      default: try json.skip()
      }
    }
    guard let complete, let peers, version == 1 else { throw .init() }
    self.init(network: network, relayAddress: relayAddress, self: own, complete: complete, peers: peers)
    self.disconnected = disconnected
    self.collision = collision
  }
}

extension PeerEventReport: LeanJSON {
  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("event") { $0.write(event.rawValue) }
      json.member("peer", peer) { $1.write(to: &$0) }
      json.member("report", report) { $1.write(to: &$0) }
      json.member("time") { $0.write(time) }
      json.member("version") { $0.write(version) }
    }
  }

  init(reading json: inout JSONReader) throws(JSONReader.Malformed) {
    var (event, time, version) = (Event?.none, Int?.none, 0)
    var (peer, report) = (PeersReport.Peer?.none, PeersReport?.none)
    try json.object { key, json throws(JSONReader.Malformed) in
      switch key {
      case "event": event = Event(rawValue: try json.string())
      case "peer": peer = try PeersReport.Peer(reading: &json)
      case "report": report = try PeersReport(reading: &json)
      case "time": time = try json.whole()
      case "version": version = try json.whole()
      default: try json.skip()
      }
    }
    guard let event, let time, version == 1 else { throw .init() }
    self.init(event, time: time, peer: peer, report: report)
  }
}

extension PeersReport.Peer: LeanJSON {
  func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("address") { $0.write(address) }
      json.member("address6", address6) { $0.write($1) }
      json.member("connected", connected) { $0.write($1) }
      json.member("device_id") { $0.write(deviceId) }
      json.member("execution_type", executionType) { $0.write($1) }
      json.member("host_name", hostName) { $0.write($1) }
      json.member("labels", labels) { json, labels in
        json.object { json in
          for (name, value) in labels.sorted(by: { $0.key < $1.key }) { json.member(name) { $0.write(value) } }
        }
      }
      json.member("load", load) { $0.write($1) }
      json.member("outer_address", outerAddress) { $0.write($1) }
      json.member("path", path) { $0.write($1) }
      json.member("place", place) { $1.write(to: &$0) }
      json.member("platform", platform) { $0.write($1) }
      json.member("proof_age", proofAge) { $0.write($1) }
      json.member("relay_round_trip_ms", relayRoundTripMs) { $0.write($1) }
      json.member("revision", revision) { $0.write($1) }
      json.member("round_trip_ms", roundTripMs) { $0.write($1) }
      json.member("services", services) { $0.array($1) { $1.write(to: &$0) } }
      json.member("state") { $0.write(state.rawValue) }
    }
  }

  init(reading json: inout JSONReader) throws(JSONReader.Malformed) {
    var state: PeersReport.State?
    var peer = PeersReport.Peer(address: "", deviceId: "", state: .unknown)
    try json.object { key, json throws(JSONReader.Malformed) in
      switch key {
      case "address": peer.address = try json.string()
      case "address6": peer.address6 = try json.string()
      case "connected": peer.connected = try json.number()
      case "device_id": peer.deviceId = try json.string()
      case "execution_type": peer.executionType = try json.string()
      case "host_name": peer.hostName = try json.string()
      case "labels":
        var labels: [String: String] = [:]
        try json.object { name, json throws(JSONReader.Malformed) in labels[name] = try json.string() }
        peer.labels = labels
      case "load": peer.load = try json.number()
      case "outer_address": peer.outerAddress = try json.string()
      case "path": peer.path = try json.string()
      case "place": peer.place = try PlaceReport(reading: &json)
      case "platform": peer.platform = try json.string()
      case "proof_age": peer.proofAge = try json.number()
      case "relay_round_trip_ms": peer.relayRoundTripMs = try json.number()
      case "revision": peer.revision = try json.whole()
      case "round_trip_ms": peer.roundTripMs = try json.number()
      case "services":
        peer.services = try json.array { json throws(JSONReader.Malformed) in try ServiceReport(reading: &json) }
      case "state": state = PeersReport.State(rawValue: try json.string())
      default: try json.skip()
      }
    }
    guard let state, !peer.address.isEmpty, !peer.deviceId.isEmpty else { throw .init() }
    peer.state = state
    self = peer
  }
}

extension ServiceReport {
  fileprivate func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("health") { $0.write(health.rawValue) }
      json.member("name") { $0.write(name) }
      json.member("port", port) { $0.write($1) }
      json.member("protocol", self.protocol) { $0.write($1) }
      json.member("version", version) { $0.write($1) }
    }
  }

  fileprivate init(reading json: inout JSONReader) throws(JSONReader.Malformed) {
    var (name, health) = (String?.none, ServiceReport.Health?.none)
    var service = ServiceReport(name: "")
    try json.object { key, json throws(JSONReader.Malformed) in
      switch key {
      case "health": health = ServiceReport.Health(rawValue: try json.string())
      case "name": name = try json.string()
      case "port": service.port = try json.whole()
      case "protocol": service.protocol = try json.string()
      case "version": service.version = try json.string()
      default: try json.skip()
      }
    }
    guard let name, let health else { throw .init() }
    service.name = name
    service.health = health
    self = service
  }
}

extension PlaceReport {
  fileprivate func write(to json: inout JSONWriter) {
    json.object { json in
      json.member("hops") { $0.array(hops) { $0.write($1) } }
      json.member("local", local) { $0.write($1) }
      json.member("outer", outer) { $0.write($1) }
    }
  }

  fileprivate init(reading json: inout JSONReader) throws(JSONReader.Malformed) {
    self.init()
    var place = self
    try json.object { key, json throws(JSONReader.Malformed) in
      switch key {
      case "hops": place.hops = try json.array { json throws(JSONReader.Malformed) in try json.string() }
      case "local": place.local = try json.string()
      case "outer": place.outer = try json.string()
      default: try json.skip()
      }
    }
    self = place
  }
}
