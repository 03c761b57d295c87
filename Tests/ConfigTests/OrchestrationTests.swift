import Config
import Testing
import Wire

@Suite struct OrchestrationTests {
  private static let keys = "the keys here are host-name, platform, execution-type, services, labels"
  private static let name =
    "expected 1 to 63 letters, digits, dots, hyphens and underscores that begin and end with a letter or digit"

  @Test func `what the design shows loads`() throws {
    let join = try load(
      "join:\n  orchestration: {platform: linux/arm64, execution-type: container, services: [detector, camera]}"
    ).join
    #expect(join.orchestration.platform == "linux/arm64")
    #expect(join.orchestration.executionType == "container")
    #expect(join.orchestration.services == [.init(name: "detector"), .init(name: "camera")])
  }

  @Test(arguments: [
    "join: {orchestration: }", "join: {orchestration: {}}", "join: {orchestration: {services: [], labels: {}}}",
  ])
  func `a section that says nothing is all defaults`(text: String) throws {
    #expect(try load(text) == Settings())
  }

  @Test func `one service needs no list`() throws {
    #expect(try load("join: {orchestration: {services: a}}").join.orchestration.services == [.init(name: "a")])
  }

  @Test(arguments: [
    Bad("join: {orchestraton: {}}", #"1:8: unknown key "orchestraton"; did you mean "orchestration"?"#),
    Bad("orchestration: {}", #"1:1: unknown key "orchestration" here; it belongs to join"#),
    Bad("join:\n  platform: linux/arm64", #"2:3: unknown key "platform" here; it belongs to join.orchestration"#),
    Bad("join: {orchestration: {mtu: 1}}", #"1:24: unknown key "mtu" here; it belongs to join or relay"#),
    Bad("join:\n  orchestration:\n    platfrom: a/b", #"3:5: unknown key "platfrom"; did you mean "platform"?"#),
    Bad("join: {orchestration: {x: 1}}", #"1:24: unknown key "x"; \#(keys)"#),
    Bad("join: {orchestration: [a]}", "1:23: a list instead of keys with values; \(keys)"),
    Bad("join.orchestration: {}", #"1:1: unknown key "join.orchestration"; \#(ConfigErrorTests.top)"#),
    Bad(
      "join: {orchestration.platform: a/b}", #"1:8: unknown key "orchestration.platform"; \#(ConfigErrorTests.join)"#),
    Bad(
      "join: {orchestration: {labels: {a: b}, labels: {}}}", #"1:40: duplicate key "labels"; first given on line 1"#),
  ])
  func `a key that is none, or not there, is answered with what would be right`(bad: Bad) {
    #expect(complaints(bad.text) == [bad.complaint])
  }

  @Test(arguments: [
    Bad("services: {a: b}", "a mapping instead of a list of services; expected names, or mappings with the keys"),
    Bad(
      "services: ", "no value instead of a list of services; expected names, or mappings with the keys name, version,"),
    Bad("services: [[a]]", "a list instead of a service's name; \(name)"),
    Bad("services: [a b]", "\"a b\" is not a service's name; \(name)"),
    Bad("services: [a, b, a]", "a is listed twice; first on line 1"),
    Bad("services: [a, {name: a}]", "a is listed twice; first on line 1"),
    Bad("services: [{port: 1}, {}]", "a service without a name; write name: and what it is called"),
    Bad("services: [{nam: a}]", #"unknown key "nam"; did you mean "name"?"#),
    Bad("services: [{name: a, x: b}]", #"unknown key "x"; the keys here are name, version, port, protocol, health"#),
    Bad("services: [{name: a, port: 0}]", #""0" is out of range; expected a whole number from 1 to 65535"#),
    Bad("services: [{name: a, port: 65536}]", #""65536" is out of range; expected a whole number from 1 to 65535"#),
    Bad("services: [{name: a, port: 1, port: 2}]", #"duplicate key "port"; first given on line 1"#),
    Bad("services: [{name: a, health: ill}]", #""ill" is not a state of health; expected up, degraded or down"#),
    Bad("services: [{name: a, protocol: a/b}]", "\"a/b\" is not a protocol; \(name)"),
    Bad(
      #"services: [{name: a, version: "\e[1m"}]"#, #""\x1B[1m" is not a version; expected 1 to 255 bytes of visible"#),
    Bad(#"services: [{name: a, version: ""}]"#, #""" is not a version; expected 1 to 255 bytes of visible text"#),
    Bad("labels: [a]", "a list instead of a mapping from a label's name to a label's value"),
    Bad("labels: {a b: c}", "\"a b\" is not a label's name; \(name)"),
    Bad("labels: {a: }", "no value instead of a label's value; expected 1 to 255 bytes of visible text"),
    Bad("labels: {a: b, a: c}", "a is listed twice; first on line 1"),
    Bad(
      "platform: my linux",
      #""my linux" is not a platform; expected 1 to 64 visible ASCII characters without a space, such as linux/arm64 "#
        + #"or docker"#
    ),
    Bad("host-name: a..b", #""a..b" is not a host's name; expected names with dots between them, 253 bytes at most"#),
    Bad("execution-type: a b", "\"a b\" is not an execution type; \(name)"),
  ])
  func `a value that peers would refuse is refused here, with what would be right`(bad: Bad) {
    let told = complaints("join: {orchestration: {\(bad.text)}}")
    #expect(told.first?.drop { $0 != " " }.dropFirst().hasPrefix(bad.complaint) == true, "\(told)")
  }

  @Test func `labels may have the same value`() throws {
    #expect(
      try load("join: {orchestration: {labels: {a: x, b: x}}}").join.orchestration.labels == ["a": "x", "b": "x"])
  }

  @Test func `there are at most 64 services and labels`() throws {
    func services(_ count: Int) -> String { (0..<count).map { "s\($0)" }.joined(separator: ", ") }
    func labels(_ count: Int) -> String { (0..<count).map { "l\($0): x" }.joined(separator: ", ") }
    func file(_ count: Int) -> String {
      "join:\n  orchestration:\n    services: [\(services(count))]\n    labels: {\(labels(count))}"
    }
    let orchestration = try load(file(64)).join.orchestration
    #expect(orchestration.services.count == 64 && orchestration.labels.count == 64)
    #expect(orchestration.information(of: "x").obstacle == nil)
    let told = complaints(file(65))
    #expect(told.count == 2 && told[0].hasSuffix("more than 64 services") && told[1].hasSuffix("more than 64 entries"))
  }

  @Test func `what does not fit into one message is an error that says so`() throws {
    let long = String(repeating: "v", count: 255)
    let services = (0..<50).map { "{name: s\($0), version: \(long)}" }.joined(separator: ", ")
    let labels = (0..<20).map { "l\($0): \(long)" }.joined(separator: ", ")
    let told = complaints("join:\n  orchestration:\n    services: [\(services)]\n    labels: {\(labels)}")
    #expect(told.count == 1)
    #expect(told[0].hasPrefix("2:3: orchestration is up to 2") && told[0].contains("of which there may be 16384"))
    _ = try load("join: {orchestration: {services: [\(services)]}}")
  }

  @Test func `it is written as a file with names, mappings and nested keys`() throws {
    let text = try load(
      """
      join:
        orchestration:
          services: [detector, {name: "null", port: 554, version: "1.0: a", health: down}, {name: b, health: up}]
          labels: {zone: hall}
      """
    ).render()
    let expected = """
        peer-information: 250
        direct: auto
        direct-port: 0
        direct-max-offline: 1d
        orchestration:
          services:
            - detector
            - name: "null"
              version: "1.0: a"
              port: 554
              health: down
            - b
          labels:
            zone: hall
      relay:
      """
    #expect(text.contains(expected), "\(text)")
  }

  @Test func `a reload takes it over, and says what was and is`() throws {
    let old = try load("join: {orchestration: {services: [detector]}}")
    let new = try load(
      "join: {peer-information: 10, orchestration: {services: [detector, {name: cam, port: 554}], labels: {zone: "
        + "hall}}}"
    )
    for role in [Settings.Role.device, .relay] {
      #expect(
        old.changes(to: new, for: role).map { "\($0.key): \($0.old) -> \($0.new)" } == [
          "join.peer-information: 250 -> 10",
          "join.orchestration.services: detector -> detector, cam (port: 554)",
          "join.orchestration.labels: none -> zone: hall",
        ])
      #expect(old.takingOver(new, for: role) == new)
    }
  }
}
