import ArgumentParser
import CommandLine
import Config
import Control
import Wire

struct Announce: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "announce",
    """
    Adds to the configuration until it is withdrawn; all but the load outlives restarts. All options of one call are \
    one change. Without options, it shows what peers are told now.
    """)

  @Option(
    help: .repeatable("Say that this service is up (no default)", "name"), completion: .ownServices,
    transform: service)
  var up: [String] = []

  @Option(help: ArgumentHelp("With one --up: the service's port (no default).", valueName: "number"), transform: port)
  var port: UInt16?

  @Option(
    name: .customLong("protocol"),
    help: ArgumentHelp("With one --up: the service's protocol, such as http (no default).", valueName: "name"),
    transform: { try ValueKind<String>.serviceProtocol.option($0) })
  var serviceProtocol: String?

  @Option(
    help: ArgumentHelp("With one --up: the service's version (no default).", valueName: "text"),
    transform: { try ValueKind<String>.serviceVersion.option($0) })
  var serviceVersion: String?

  @Option(
    help: .repeatable("Say that this service works badly (no default)", "name"), completion: .ownServices,
    transform: service)
  var degraded: [String] = []

  @Option(
    help: .repeatable("Say that this service is down (no default)", "name"), completion: .ownServices,
    transform: service)
  var down: [String] = []

  @Option(
    help: .repeatable("Stop announcing this service; the configuration's entry holds again (no default)", "name"),
    completion: .announcedServices,
    transform: service)
  var withdraw: [String] = []

  @Option(help: .repeatable("Give the device this label (no default)", "key=value"), transform: Label.init)
  var label: [Label] = []

  @Option(
    help: .repeatable("Stop announcing this label; the configuration's value holds again (no default)", "key"),
    completion: .announcedLabels,
    transform: { try ValueKind<String>.labelName.option($0) })
  var noLabel: [String] = []

  @Option(
    help: ArgumentHelp("Announce the load: 0 is idle, 1 is fully used (no default).", valueName: "number"),
    transform: { try ValueKind<Double>.load.option($0) })
  var load: Double?

  @Flag(help: "Stop announcing a load.")
  var noLoad = false

  @Flag(help: "First withdraw all that was announced.")
  var reset = false

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  struct Label {
    let name: String
    let value: String

    init(_ text: String) throws {
      guard let equals = text.firstIndex(of: "=") else {
        throw ValidationError("a label is KEY=VALUE, such as zone=hall")
      }
      name = try ValueKind<String>.labelName.option(String(text[..<equals]))
      value = try ValueKind<String>.labelValue.option(String(text[equals...].dropFirst()))
    }
  }

  private static func service(_ text: String) throws -> String { try ValueKind<String>.serviceName.option(text) }
  private static func port(_ text: String) throws -> UInt16 { try ValueKind<UInt16>.port.option(text) }

  func validate() throws {
    if port != nil || serviceProtocol != nil || serviceVersion != nil, up.count != 1 {
      throw ValidationError("--port, --protocol and --service-version go with one --up")
    }
    if let name = Self.twice(up + degraded + down + withdraw) {
      throw ValidationError("the service \(name) is named twice; name it in one option only")
    }
    if let name = Self.twice(label.map(\.name) + noLabel) {
      throw ValidationError("the label \(name) is named twice; name it in one option only")
    }
    if load != nil, noLoad { throw ValidationError("--load and --no-load do not go together") }
  }

  private static func twice(_ names: [String]) -> String? {
    var seen: Set<String> = []
    return names.first { !seen.insert($0).inserted }
  }

  var request: ControlCommand {
    var order = AnnounceOrder()
    order.reset = reset
    order.services =
      up.map { name in
        Orchestration.Service(
          name: name, version: serviceVersion, port: port.map { Int($0) }, protocol: serviceProtocol)
      } + degraded.map { Orchestration.Service(name: $0, health: .degraded) }
      + down.map { Orchestration.Service(name: $0, health: .down) }
    order.withdrawnServices = withdraw
    order.labels = Dictionary(label.map { ($0.name, $0.value) }) { _, last in last }
    order.withdrawnLabels = noLabel
    order.load = load.map { .number($0) } ?? (noLoad ? .nothing : nil)
    return .announce(order)
  }

  func text(_ report: OrchestrationReport) -> String {
    let labels = report.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    var lines = [
      "device     \(report.deviceId), revision \(report.revision)",
      "host       \(report.hostName ?? "no name")",
      "platform   \(report.platform)\(report.executionType.map { ", \($0)" } ?? "")",
      "load       \(report.load.map { "\($0)" } ?? "not told")",
      "place      \(report.place?.text ?? "not known")",
      "labels     \(labels.isEmpty ? "none" : labels.joined(separator: ", "))",
    ]
    guard !report.services.isEmpty else { return (lines + ["services   none"]).joined(separator: "\n") }
    var table = Table(["SERVICE", "HEALTH", "PORT", "PROTOCOL", "VERSION"])
    for service in report.services {
      table.add([
        service.name, service.health.rawValue, service.port.map { "\($0)" } ?? "-", service.protocol ?? "-",
        service.version ?? "-",
      ])
    }
    lines += ["", table.shown]
    return lines.joined(separator: "\n")
  }
}

extension ArgumentHelp {
  fileprivate static func repeatable(_ text: String, _ valueName: String) -> ArgumentHelp {
    ArgumentHelp("\(text); may be given several times.", valueName: valueName)
  }
}
