// A new command is a case, a row of the table below it, an answer in the daemons, and a subcommand of a tool.

/// What a daemon can be asked for.
public enum ControlCommand: Sendable, Equatable {
  case status
  /// What the daemon counts and measures.
  case metrics
  /// All peers that the daemon knows.
  case peers
  /// As `peers`. First asks the peers that have told nothing of themselves, for up to that many milliseconds.
  case fetch(milliseconds: Int)
  /// One peer, by its ID, label, address or the beginning of its fingerprint. First asks it as `fetch` does.
  case show(peer: String, milliseconds: Int)
  /// One echo from a peer, within that many milliseconds.
  case ping(peer: String, milliseconds: Int)
  /// Tests the path to a peer, step by step. Each echo on it may take a third of that many milliseconds.
  case explain(peer: String, milliseconds: Int)
  /// Events about peers, until the connection ends.
  case subscribe
  case stop
  case key
  /// Replaces the daemon's key. With `forgetOld`, a relay no longer proves itself with its old key.
  case rotateKey(forgetOld: Bool)
  case invite(InviteOrder)
  case invites
  case uninvite(id: String)
  case pending
  /// Admits a waiting device, by its ID or fingerprint.
  case approve(String)
  case deny(String)
  /// All admitted devices, or only the one that `named` identifies, in any form that `revoke` takes.
  case devices(named: String? = nil)
  /// By device ID, host name, virtual address, or the beginning of the key's fingerprint.
  case revoke(device: String)
  case forget(device: String)
  case leases
  /// `address` is the device's present one if `nil`.
  case pinLease(device: String, address: String?)
  /// By the address, or by what `revoke` takes.
  case freeLease(String)
  /// Reads the configuration file again.
  case reload
  /// Delivers the queued packets, within that many milliseconds, and ends the daemon. With `restart` its exit status
  /// asks the service manager to start it again.
  case drain(milliseconds: Int, restart: Bool = false)
  /// A copy of the database, as an open file beside the answer.
  case backup
  /// Changes what the device tells its peers of itself. An empty order only asks for it.
  case announce(AnnounceOrder)
  /// Sets the level of the log; `nil` only asks for it.
  case logLevel(String?)
  /// What a bug report says of the daemon beside its status.
  case diagnostics
}

// MARK: The table

extension ControlCommand.Kind {
  /// Every command, one row each: its name on the socket, who may ask, which daemons answer, the line of the tool's
  /// help, and the members of its request with the functions between them and the command.
  public static let all: [Self] = [
    Self("status", .everybody, .both, help: "Shows the state of a daemon.", .status),
    Self("metrics", .everybody, .both, help: "Prints a daemon's metrics.", .metrics),
    Self("peers", .everybody, .both, typed: "mnedc-peers", .peers),
    Self("fetch", .everybody, .both, typed: "mnedc-peers", .askTime, make: ControlCommand.fetch) {
      if case .fetch(let time) = $0 { time } else { nil }
    },
    Self(
      "show", .everybody, .both, typed: "mnedc-peers show", help: "Shows all that is known of one device.",
      .text("peer"), .askTime, make: ControlCommand.show
    ) { if case .show(let peer, let time) = $0 { (peer, time) } else { nil } },
    Self(
      "ping", .everybody, .both, typed: "mnedc-peers ping", help: "Measures the round trip to a device, end to end.",
      .text("peer"), .askTime, make: ControlCommand.ping
    ) { if case .ping(let peer, let time) = $0 { (peer, time) } else { nil } },
    Self(
      "explain", .everybody, .both, help: "Tests the path to a peer and names what fails.",
      .text("peer"), .askTime, make: ControlCommand.explain
    ) { if case .explain(let peer, let time) = $0 { (peer, time) } else { nil } },
    Self("subscribe", .everybody, .both, typed: "mnedc-peers", .subscribe),
    Self("stop", .owner, .both, help: "Stops a daemon.", .stop),
    Self("key", .everybody, .both, help: "Shows the public key of a daemon and its fingerprint.", .key),
    Self(
      "rotate-key", .owner, .both, help: "Replaces a daemon's key by a new one.",
      .flag("forget_old"), make: ControlCommand.rotateKey
    ) { if case .rotateKey(let forgetOld) = $0 { forgetOld } else { nil } },
    Self(
      "invite", .owner, .relay, help: "Makes an invite, the line that lets a device join.",
      .number("uses", in: InviteOrder.usesRange, or: InviteOrder.defaultUses),
      .number("expires_s", in: InviteOrder.lifetimeRange, or: InviteOrder.defaultLifetime),
      .optionalText("device_id"), .texts("servers"),
      make: { .invite(InviteOrder(uses: $0, lifetime: $1, deviceID: $2, servers: $3)) },
      take: { if case .invite(let it) = $0 { (it.uses, it.lifetime, it.deviceID, it.servers) } else { nil } }),
    Self("invites", .owner, .relay, help: "Lists the invites of the relay.", .invites),
    Self("uninvite", .owner, .relay, help: "Revokes an invite.", .text("id"), make: ControlCommand.uninvite) {
      if case .uninvite(let id) = $0 { id } else { nil }
    },
    Self("pending", .owner, .relay, help: "Lists the devices that wait for approval.", .pending),
    Self(
      "approve", .owner, .relay, help: "Admits a device that waits for approval.",
      .text("name"), make: ControlCommand.approve
    ) { if case .approve(let name) = $0 { name } else { nil } },
    Self(
      "deny", .owner, .relay, help: "Refuses a device that waits for approval.",
      .text("name"), make: ControlCommand.deny
    ) { if case .deny(let name) = $0 { name } else { nil } },
    Self(
      "devices", .owner, .relay, help: "Lists the devices that the relay has admitted.",
      .optionalText("name"), make: ControlCommand.devices
    ) { if case .devices(let name) = $0 { name } else { nil } },
    Self(
      "revoke", .owner, .relay, help: "Ends a device's session and refuses its key for good.",
      .text("device_id"), make: ControlCommand.revoke
    ) { if case .revoke(let device) = $0 { device } else { nil } },
    Self(
      "forget", .owner, .relay, help: "Ends a device's session and deletes its record.",
      .text("device_id"), make: ControlCommand.forget
    ) { if case .forget(let device) = $0 { device } else { nil } },
    Self("leases", .owner, .relay, help: "Lists the virtual addresses of devices.", .leases),
    Self(
      "lease-pin", .owner, .relay, typed: "mnedc-ctl lease pin",
      help: "Reserves a device's address, or another address, for that device.",
      .text("device_id"), .optionalText("address"), make: ControlCommand.pinLease
    ) { if case .pinLease(let device, let address) = $0 { (device, address) } else { nil } },
    Self(
      "lease-free", .owner, .relay, typed: "mnedc-ctl lease free",
      help: "Frees the address of a device that is not connected.",
      .text("name"), make: ControlCommand.freeLease
    ) { if case .freeLease(let name) = $0 { name } else { nil } },
    Self("reload", .owner, .both, help: "Makes a daemon read its configuration file again.", .reload),
    Self(
      "drain", .owner, .relay, help: "Ends a relay once what is under way has arrived.",
      .number("within_ms", in: ControlCommand.drainRange, or: ControlCommand.defaultDrain), .flag("restart"),
      make: ControlCommand.drain
    ) { if case .drain(let time, let restart) = $0 { (time, restart) } else { nil } },
    Self("backup", .owner, .relay, help: "Writes a copy of a relay's database.", .backup),
    Self(
      "announce", .owner, .both, help: "Tells this device's peers what it offers.",
      .flag("reset"),
      .value(
        "services",
        "a list of objects with name and health (up, degraded or down), and perhaps version, port and protocol",
        or: []),
      .texts("withdraw"), .value("labels", "an object of texts", or: [:]), .texts("no_labels"),
      .optional("load", "a number"), .flag("no_load"),
      make: { (a, b, c, d, e, load, noLoad) throws(ControlError) in
        .announce(try AnnounceOrder(a, b, c, d, e, load: load, noLoad: noLoad))
      },
      take: { if case .announce(let it) = $0 { it.members } else { nil } }),
    Self(
      "log-level", .owner, .both, help: "Shows or sets what a daemon logs.",
      .optionalText("level"), make: ControlCommand.logLevel
    ) { if case .logLevel(let level) = $0 { level } else { nil } },
    Self("diagnostics", .owner, .both, typed: "a daemon's log", .diagnostics),
  ]
}

// MARK: Times and limits

extension ControlCommand {
  public static let drainRange = 100...3_600_000
  public static let defaultDrain = 10_000
  /// How long a large database on a slow disk may take to be copied.
  public static let backupTime = Duration.seconds(300)
  /// Milliseconds that a command may wait for peers.
  public static let askRange = 100...60_000
  public static let defaultAsk = 2000
  /// Bytes of a request, without the end of the line. The longest one is `announce` with all that one device can tell.
  package static let maximumRequest = 32 << 10
  /// Bytes that a name in a request may have.
  public static let textLength = 1...255

  /// How much longer than other commands this one may take.
  var patience: Duration {
    switch self {
    case .drain(let time, _), .fetch(let time), .show(_, let time), .ping(_, let time), .explain(_, let time):
      .milliseconds(time)
    case .backup: Self.backupTime
    default: .zero
    }
  }

  /// Whether the daemon ends soon after it has answered.
  var endsDaemon: Bool {
    switch self {
    case .stop, .drain: true
    default: false
    }
  }
}

/// The invite that is wanted.
public struct InviteOrder: Sendable, Equatable {
  /// How many devices it admits.
  public var uses: Int
  /// How long it is valid, in seconds.
  public var lifetime: Int
  /// The only device ID that it admits; `nil` admits any.
  public var deviceID: String?
  /// Where devices find the relay. If empty, the relay decides.
  public var servers: [String]

  public static let usesRange = 1...10_000
  public static let lifetimeRange = 1...31_536_000
  public static let defaultUses = 1
  public static let defaultLifetime = 86_400

  public init(
    uses: Int = defaultUses, lifetime: Int = defaultLifetime, deviceID: String? = nil, servers: [String] = []
  ) {
    self.uses = uses
    self.lifetime = lifetime
    self.deviceID = deviceID
    self.servers = servers
  }
}
