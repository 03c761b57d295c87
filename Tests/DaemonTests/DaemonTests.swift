import Config
import Control
import DeviceHost
import SystemIO
import TestSupport
import Testing
import Tun
import Wire

@testable import mnedc_join
@testable import mnedcd

/// Both daemons as they are wired, in this process: with interfaces in memory, and without root.
@Suite(.serialized) final class DaemonTests: Sendable {
  /// A daemon on a thread of its own.
  private final class Running: Sendable {
    let socket: String
    /// The error that ended it, or an empty text.
    let end = Mailbox<String>()
    private let thread: SystemThread

    init(_ socket: String, _ run: @escaping @Sendable () throws -> Void) {
      self.socket = socket
      thread = SystemThread.start(name: "daemon") { [end] in
        do {
          try run()
          end.put("")
        } catch {
          end.put("\(error)")
        }
      }
    }

    func ask<Report: Codable>(_ command: ControlCommand, _: Report.Type = Report.self) throws -> Report {
      #expect(wait { (try? Descriptor.connected(toUnix: socket)) != nil || !end.items.isEmpty })
      return try ControlClient.ask(command, at: socket, timeout: generousWait)
    }

    /// The error that answers the command; `nil` if none does.
    func refusal(of command: ControlCommand) throws -> ControlError? {
      do {
        let _: Done = try ask(command)
        return nil
      } catch ControlClient.Failure.refused(let error) {
        return error
      }
    }

    func stop() throws {
      let _: Done = try ask(.stop)
      #expect(end.waitFor(1) == [""])
      thread.join()
    }

    /// Waits for an end that nobody asked for, and returns its error.
    func failure() -> String {
      let error = end.waitFor(1).first ?? ""
      thread.join()
      return error
    }
  }

  private let directory = TemporaryDirectory()
  private let relayState = TemporaryDirectory()
  private let deviceState = TemporaryDirectory()

  private func access(_ interface: MemoryPacketDevice) -> HostAccess {
    var access = HostAccess()
    access.makeInterface = { _, _ in interface }
    access.keepOnly = { _ in }
    return access
  }

  private func relaySettings(device: Bool = true, admission: AdmissionMode = .open) throws -> Settings {
    var settings = Settings()
    settings.logLevel = .error
    settings.relay.listen = [ServerAddress(host: "127.0.0.1", port: 0)]
    settings.relay.pool = .prefix(try #require(IPv4Prefix("10.0.0.0/24")))
    settings.relay.admission = admission
    settings.relay.device = device
    settings.relay.user = .named("root")
    settings.relay.socket = directory.file("relay.sock")
    settings.relay.state = relayState.path
    settings.join.names = .off
    settings.join.hostsFile = .off
    return settings
  }

  /// Starts mnedcd; `reread` gives the settings of a reload.
  private func relay(_ settings: Settings, reread: Settings? = nil) throws -> Running {
    let interface = try MemoryPacketDevice(name: "relay0")
    return Running(settings.relay.socket) { [self] in
      try RelayDaemon(settings, access: access(interface)) { reread ?? settings }.run()
    }
  }

  /// Starts mnedc-join for the relay, which writes what it has settled to `device.yaml`.
  private func device(_ id: String, of relay: Running) throws -> Running {
    let listen = try #require(try relay.ask(.status, StatusReport.self).relay?.listen.first)
    var settings = Settings()
    settings.logLevel = .error
    settings.servers = [try ServerAddress(parsing: listen)]
    settings.deviceID = id
    settings.join.socket = directory.file("device.sock")
    settings.join.state = deviceState.path
    settings.join.names = .off
    settings.join.hostsFile = .off
    // Or the device would find that its host is in the network already.
    settings.relay.socket = directory.file("none.sock")
    let options = JoinOptions(
      path: directory.file("device.yaml"), content: nil, file: Settings(), defaults: Settings(),
      servers: settings.servers, serverKeys: [], deviceID: id, state: settings.join.state)
    let interface = try MemoryPacketDevice(name: "device0")
    return Running(settings.join.socket) { [self, settings] in
      let update = FileUpdate(options, isUsualState: true, isOwn: true)
      try DeviceDaemon(
        settings, nil, nil, update, isReset: false, isInBackground: false, access: access(interface)
      ) { settings }.run()
    }
  }

  private func metrics(_ daemon: Running) throws -> Set<String> {
    Set(try daemon.ask(.metrics, MetricsReport.self).families.map(\.name))
  }

  @Test func `a device and the relay's host know each other, and both daemons answer`() throws {
    let relay = try relay(try relaySettings())
    let device = try device("cam", of: relay)
    #expect(try wait { try device.ask(.status, StatusReport.self).device?.state == .joined })
    #expect(try wait { try device.ask(.peers, PeersReport.self).peers.count == 1 })
    #expect(try wait { try relay.ask(.peers, PeersReport.self).peers.map(\.deviceId) == ["cam"] })
    #expect(try device.ask(.key, KeyReport.self).role == .device)
    #expect(try relay.ask(.key, KeyReport.self).role == .relay)
    let common: Set = ["mnedc_build", "process_cpu_seconds", "mnedc_device_joined"]
    #expect(try metrics(device).isSuperset(of: common))
    #expect(try metrics(relay).isSuperset(of: common.union(["mnedc_relay_frames_forwarded"])))
    let written = String(decoding: try readFile(directory.file("device.yaml"), limit: 4096), as: UTF8.self)
    #expect(written.contains("server:") && written.contains("device-id:") && written.contains("cam"))
    try device.stop()
    try relay.stop()
  }

  @Test func `what a device announces reaches the relay's host`() throws {
    let relay = try relay(try relaySettings())
    let device = try device("cam", of: relay)
    #expect(try wait { try device.ask(.status, StatusReport.self).device?.state == .joined })
    var order = AnnounceOrder()
    order.labels = ["zone": "hall"]
    #expect(try device.ask(.announce(order), OrchestrationReport.self).labels == ["zone": "hall"])
    #expect(
      try wait {
        try relay.ask(.show(peer: "cam", milliseconds: 5000), PeersReport.self).peers.first?.labels == ["zone": "hall"]
      })
    try device.stop()
    try relay.stop()
  }

  @Test func `each daemon refuses what is for the other, and a relay alone what is for a device`() throws {
    let relay = try relay(try relaySettings(device: false))
    let device = try device("cam", of: relay)
    #expect(try device.refusal(of: .invites)?.code == .unsupported)
    #expect(try device.refusal(of: .rotateKey(forgetOld: true))?.code == .unsupported)
    #expect(try relay.refusal(of: .announce(AnnounceOrder()))?.code == .unsupported)
    #expect(try relay.refusal(of: .ping(peer: "cam", milliseconds: 100))?.code == .unsupported)
    #expect(try relay.ask(.status, StatusReport.self).device == nil)
    try device.stop()
    try relay.stop()
  }

  @Test func `a reload takes over what may change and names the rest`() throws {
    let settings = try relaySettings(device: false)
    var fresh = settings
    fresh.logLevel = .critical
    fresh.relay.admission = .approve
    fresh.relay.interface = "other"
    let relay = try relay(settings, reread: fresh)
    let report: ReloadReport = try relay.ask(.reload)
    #expect(Set(report.applied.map(\.key)) == ["log-level", "relay.admission"])
    #expect(report.needsRestart.map(\.key) == ["relay.interface"])
    let status: StatusReport = try relay.ask(.status)
    #expect(status.logLevel == "critical" && status.relay?.admission == "approve")
    try relay.stop()
  }

  @Test func `a drain ends the relay`() throws {
    let relay = try relay(try relaySettings(device: false))
    let report: DrainReport = try relay.ask(.drain(milliseconds: 1000))
    #expect(report.cutOff == 0)
    #expect(relay.failure() == "")
  }

  @Test func `a device that the relay does not let in ends and says why, and writes nothing`() throws {
    let relay = try relay(try relaySettings(admission: .invite))
    let device = try device("cam", of: relay)
    #expect(device.failure().contains("the relay does not let this device in"))
    #expect((try? readFile(directory.file("device.yaml"), limit: 4096)) == nil)
    try relay.stop()
  }
}
