import ArgumentParser
import CommandLine
import Config
import Control
import SystemIO
import Wire

extension CommandGroup {
  static let relay = CommandGroup(
    name: "Relay",
    subcommands: [
      Invite.self, Invites.self, Uninvite.self, Pending.self, Approve.self, Deny.self, Devices.self, Revoke.self,
      Forget.self, Leases.self, Lease.self,
    ])
}

extension Table {
  /// How long ago a time in Unix seconds was.
  fileprivate static func ago(_ time: Int) -> String { Self.time(Double(max(0, Int(UnixTime.now()) - time))) + " ago" }
}

extension ArgumentHelp {
  fileprivate static let pendingDevice: ArgumentHelp =
    "The device's ID, or the beginning of its fingerprint; mnedc-ctl pending lists both."
  fileprivate static let device: ArgumentHelp =
    "The device's ID, host name or virtual address, or the beginning of its fingerprint."
}

// MARK: Invites and approval

struct Invites: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "invites", "Used, expired and revoked invites are kept for 30 days.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .invites }

  func text(_ report: InvitesReport) -> String {
    let now = Int(UnixTime.now())
    var table = Table(["INVITE", "STATE", "USES LEFT", "EXPIRES IN", "FOR"])
    for invite in report.invites {
      table.add([
        invite.id, invite.state.rawValue, "\(invite.usesLeft) of \(invite.usesTotal)",
        invite.state == .usable ? Table.time(Double(max(0, invite.expiresAt - now))) : "",
        invite.deviceId ?? "any device",
      ])
    }
    return table.shown
  }

  func remark(_ report: InvitesReport) -> String? { report.invites.isEmpty ? "no invite was made" : nil }
}

struct Uninvite: RequestCommand {
  static let configuration = CommandConfiguration(for: "uninvite", "Devices that it has admitted stay.")

  @Argument(help: "The invite's ID, as mnedc-ctl invites lists it.", completion: .invites)
  var id: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .uninvite(id: id) }

  func text(_: InvitesReport) -> String { "the invite \(id) is revoked" }
}

struct Pending: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "pending", "Compare the fingerprint with that of mnedc-ctl key on the device.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .pending }

  func text(_ report: PendingReport) -> String {
    var table = Table(["ID", "FINGERPRINT", "FROM", "WAITING"])
    for device in report.devices {
      table.add([device.deviceId, device.fingerprint, device.outerAddress, Table.time(device.waiting)])
    }
    return table.shown
  }

  func remark(_ report: PendingReport) -> String? { report.devices.isEmpty ? "no device waits for approval" : nil }
}

struct Approve: RequestCommand {
  static let configuration = CommandConfiguration(for: "approve", "The relay admits it from now on.")

  @Argument(help: .pendingDevice, completion: .pendingDevices)
  var name: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .approve(name) }

  func text(_ report: PendingReport) -> String {
    report.devices.map { "\($0.deviceId) (\($0.fingerprint)) is admitted" }.joined(separator: "\n")
  }
}

struct Deny: RequestCommand {
  static let configuration = CommandConfiguration(for: "deny", "Its key is refused for an hour.")

  @Argument(help: .pendingDevice, completion: .pendingDevices)
  var name: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .deny(name) }

  func text(_ report: PendingReport) -> String {
    report.devices.map { "\($0.deviceId) (\($0.fingerprint)) is refused for an hour" }.joined(separator: "\n")
  }
}

// MARK: Devices

struct Devices: RequestCommand {
  static let configuration = CommandConfiguration(for: "devices", "Includes those whose keys were revoked.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .devices() }

  func text(_ report: DevicesReport) -> String {
    var table = Table(["ID", "STATUS", "ADDRESS", "ADMITTED", "BY", "LAST SEEN", "FINGERPRINT"])
    for device in report.devices {
      table.add([
        device.deviceId, device.status.rawValue, device.address ?? "", Table.ago(device.admittedAt),
        device.inviteId.map { "invite \($0)" } ?? Self.word(device.admittedBy),
        device.online ? "online" : Table.ago(device.lastSeenAt), device.fingerprint,
      ])
    }
    return table.shown
  }

  private static func word(_ admitter: DevicesReport.Admitter) -> String {
    switch admitter {
    case .open: "open admission"
    case .approved: "an operator"
    case .host: "this host"
    case .invite: "an invite"
    }
  }
}

struct Revoke: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "revoke", "On a terminal it asks first. Another device may take the ID then.")

  @Argument(help: .device, completion: .devices)
  var device: String

  @OptionGroup var confirmation: ConfirmOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { get throws { .revoke(device: try confirmed()) } }

  /// What names the device after the operator has agreed.
  private func confirmed() throws -> String {
    guard confirmation.isAsking else { return device }
    let found: DevicesReport = try control.ask(.devices(named: device))
    guard let one = found.devices.first, one.status == .active else { return device }
    let state = one.address.map { "is connected at \($0)" } ?? "is not connected"
    try confirmation.confirm(
      "This locks out \(one.deviceId) (\(one.fingerprint)), which \(state). To join again, it needs a new key and "
        + "a new invite.")
    return one.fingerprint
  }

  func text(_ report: DevicesReport) -> String {
    report.devices.map { "the key \($0.fingerprint) of \($0.deviceId) is refused from now on" }.joined(separator: "\n")
  }
}

struct Forget: RequestCommand {
  static let configuration = CommandConfiguration(for: "forget", "The relay may admit it again, as any new device.")

  @Argument(help: .device, completion: .knownDevices)
  var device: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .forget(device: device) }

  func text(_ report: DevicesReport) -> String {
    report.devices.map { "\($0.deviceId) (\($0.fingerprint)) is forgotten" }.joined(separator: "\n")
  }
}

// MARK: Leases

struct Leases: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "leases", "A device that is not connected keeps its address.")

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .leases }

  func text(_ report: LeasesReport) -> String {
    var table = Table(["ADDRESS", "ID", "KIND", "LAST USED", "IPV6 ADDRESS"])
    for lease in report.leases {
      table.add([
        lease.address, lease.deviceId, lease.kind.rawValue, lease.online ? "online" : Table.ago(lease.lastUsedAt),
        lease.address6 ?? "",
      ])
    }
    return table.shown
  }
}

struct Lease: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Pins the address of a device, or frees it.",
    subcommands: [PinLease.self, FreeLease.self])

  func run() throws {
    throw Failure(.usage, "say what to do with the lease: pin or free; see mnedc-ctl lease --help")
  }
}

struct PinLease: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "lease-pin", "For another address, a connected device has to reconnect.")

  @Argument(help: .device, completion: .devices)
  var device: String

  @Argument(
    help: "The address to reserve (default: the one that the device has).",
    transform: { try ValueKind<IPv4Address>.virtualAddress.option($0) })
  var address: IPv4Address?

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .pinLease(device: device, address: address?.description) }

  func text(_ report: LeasesReport) -> String {
    report.leases.map { "\($0.address) is reserved for \($0.deviceId) from now on" }.joined(separator: "\n")
  }
}

struct FreeLease: RequestCommand {
  static let configuration = CommandConfiguration(
    for: "lease-free", "If the device is connected, only the pin is removed.")

  @Argument(
    help: "The address, or the device's ID, host name or the beginning of its fingerprint.", completion: .leases)
  var lease: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  var request: ControlCommand { .freeLease(lease) }

  func text(_ report: LeasesReport) -> String {
    report.leases.map { lease in
      lease.online
        ? "\(lease.address) is not pinned any more; \(lease.deviceId) is connected and keeps it"
        : "\(lease.address) is free; \(lease.deviceId) has no address any more"
    }.joined(separator: "\n")
  }
}
