// What a daemon can be asked for, and the members of the request that say it:
//
//     {"command":"invite","device_id":"cam","expires_s":86400,"uses":3,"version":1}

/// What a daemon can be asked for.
public enum ControlCommand: Sendable, Equatable {
  case status
  /// What it counts and measures, for programs that collect such.
  case metrics
  case peers
  /// As `peers`, after those were asked whose information is not known here, for so many milliseconds at most.
  case fetch(milliseconds: Int)
  /// One peer alone, by its ID, its label or its address; it is asked first if its information is not known.
  case show(peer: String, milliseconds: Int)
  /// An echo from a peer, which may take so many milliseconds.
  case ping(peer: String, milliseconds: Int)
  /// The path to a peer, step by step; each of the echoes on it may take a third of so many milliseconds.
  case explain(peer: String, milliseconds: Int)
  /// What becomes of peers, for as long as the connection lasts.
  case subscribe
  case stop
  case key
  /// Puts a new key in the place of the daemon's. `forgetOld`, of a relay: it does not prove itself with the old one to who
  /// knows no other.
  case rotateKey(forgetOld: Bool)
  /// Reads the configuration file again.
  case reload
  /// Tells the peers something of the device, until it is told otherwise; an empty order asks what they are told.
  case announce(AnnounceOrder)
  // Of the relay alone.
  case invite(InviteOrder)
  case invites
  case uninvite(id: String)
  case pending
  /// A device that waits, by its device ID or fingerprint.
  case approve(String)
  case deny(String)
  /// All devices that were ever admitted; or only the one that `named` identifies, in any form that `revoke` takes.
  case devices(named: String? = nil)
  /// By its device ID, the host name that goes with it, its virtual address, or the beginning of its key's fingerprint.
  case revoke(device: String)
  case forget(device: String)
  case leases
  /// `address`: the device's present one if `nil`.
  case pinLease(device: String, address: String?)
  /// By the address, or by what `revoke` takes.
  case freeLease(String)
  /// Delivers the packets under way, within this many milliseconds, and ends the daemon. With `restart` its exit status
  /// asks the service manager to start it again.
  case drain(milliseconds: Int, restart: Bool = false)
  /// A copy of the database, as an open file beside the answer.
  case backup
  /// Sets the level of the log, until it is told otherwise; `nil` asks for it.
  case logLevel(String?)
  /// What a bug report tells of the daemon beside its status.
  case diagnostics

  public enum Name: String, CaseIterable, Sendable {
    case status, metrics, peers, fetch, show, ping, explain, subscribe, stop, key
    case rotateKey = "rotate-key"
    case invite, invites, uninvite
    case pending, approve, deny
    case devices, revoke, forget
    case leases
    case pinLease = "lease-pin"
    case freeLease = "lease-free"
    case reload, drain, backup, announce
    case logLevel = "log-level"
    case diagnostics

    /// Whether any user of the host may ask. The rest is for root and for the user that the daemon runs as.
    public var isForEverybody: Bool {
      switch self {
      case .status, .metrics, .peers, .fetch, .show, .ping, .explain, .subscribe, .key: true
      default: false
      }
    }

    /// What is asked for by it, as people type it.
    public var typed: String {
      switch self {
      case .pinLease: "mnedc-ctl lease pin"
      case .freeLease: "mnedc-ctl lease free"
      case .show, .ping: "mnedc-peers \(rawValue)"
      case .peers, .fetch, .subscribe: "mnedc-peers"
      case .diagnostics: "a daemon's log"
      default: "mnedc-ctl \(rawValue)"
      }
    }

    /// Whether the daemon ends soon after it has answered.
    var endsDaemon: Bool { self == .stop || self == .drain }

    /// Whether only a relay has it.
    public var isForRelay: Bool {
      switch self {
      case .status, .metrics, .peers, .fetch, .show, .ping, .explain, .subscribe, .stop, .key, .rotateKey, .reload,
        .announce, .logLevel, .diagnostics:
        false
      default: true
      }
    }
  }

  public var name: Name {
    switch self {
    case .status: .status
    case .metrics: .metrics
    case .peers: .peers
    case .fetch: .fetch
    case .show: .show
    case .ping: .ping
    case .explain: .explain
    case .subscribe: .subscribe
    case .stop: .stop
    case .key: .key
    case .rotateKey: .rotateKey
    case .invite: .invite
    case .invites: .invites
    case .uninvite: .uninvite
    case .pending: .pending
    case .approve: .approve
    case .deny: .deny
    case .devices: .devices
    case .revoke: .revoke
    case .forget: .forget
    case .leases: .leases
    case .pinLease: .pinLease
    case .freeLease: .freeLease
    case .reload: .reload
    case .drain: .drain
    case .backup: .backup
    case .announce: .announce
    case .logLevel: .logLevel
    case .diagnostics: .diagnostics
    }
  }

  public static let drainRange = 100...3_600_000
  public static let defaultDrain = 10_000
  /// How long a large database on a slow disk may take to be copied.
  public static let backupTime = Duration.seconds(300)
  /// For what peers are asked.
  public static let askRange = 100...60_000
  public static let defaultAsk = 2000
  /// Bytes that a name in a request may have.
  public static let textLength = 1...RequestMembers.maximumText

  /// How long a daemon may be about it, beside the time that any answer may take.
  var patience: Duration {
    switch self {
    case .drain(let time, _), .fetch(let time), .show(_, let time), .ping(_, let time), .explain(_, let time):
      .milliseconds(time)
    case .backup: Self.backupTime
    default: .zero
    }
  }
}

/// The invite that is wanted.
public struct InviteOrder: Sendable, Equatable {
  /// How many devices it lets in.
  public var uses: Int
  /// How long it is good, in seconds.
  public var lifetime: Int
  /// The only device ID that it is good for; `nil`: for any.
  public var deviceID: String?
  /// Where devices find the relay; empty leaves that to the relay.
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

// MARK: On the socket

extension ControlCommand {
  /// The members beside `version` and `command`.
  func encode(to container: inout KeyedEncodingContainer<MemberName>) throws {
    switch self {
    case .status, .metrics, .peers, .subscribe, .stop, .key, .invites, .pending, .leases, .reload, .backup,
      .diagnostics:
      break
    case .devices(let name): try container.encodeIfPresent(name, forKey: "name")
    case .fetch(let milliseconds): try container.encode(milliseconds, forKey: "within_ms")
    case .show(let peer, let milliseconds), .ping(let peer, let milliseconds), .explain(let peer, let milliseconds):
      try container.encode(peer, forKey: "peer")
      try container.encode(milliseconds, forKey: "within_ms")
    case .invite(let order):
      try container.encode(order.uses, forKey: "uses")
      try container.encode(order.lifetime, forKey: "expires_s")
      try container.encodeIfPresent(order.deviceID, forKey: "device_id")
      if !order.servers.isEmpty { try container.encode(order.servers, forKey: "servers") }
    case .rotateKey(let forgetOld): if forgetOld { try container.encode(true, forKey: "forget_old") }
    case .uninvite(let id): try container.encode(id, forKey: "id")
    case .approve(let name), .deny(let name), .freeLease(let name): try container.encode(name, forKey: "name")
    case .revoke(let id), .forget(let id): try container.encode(id, forKey: "device_id")
    case .pinLease(let id, let address):
      try container.encode(id, forKey: "device_id")
      try container.encodeIfPresent(address, forKey: "address")
    case .announce(let order): try order.encode(to: &container)
    case .logLevel(let level): try container.encodeIfPresent(level, forKey: "level")
    case .drain(let milliseconds, let restart):
      try container.encode(milliseconds, forKey: "within_ms")
      if restart { try container.encode(true, forKey: "restart") }
    }
  }

  /// Takes the members that belong to the command; whoever reads a request sees to it that there are no others.
  init(_ name: Name, _ members: inout RequestMembers) throws(ControlError) {
    switch name {
    case .status: self = .status
    case .metrics: self = .metrics
    case .peers: self = .peers
    case .fetch: self = .fetch(milliseconds: try Self.askTime(&members))
    case .show: self = .show(peer: try members.text("peer"), milliseconds: try Self.askTime(&members))
    case .ping: self = .ping(peer: try members.text("peer"), milliseconds: try Self.askTime(&members))
    case .explain: self = .explain(peer: try members.text("peer"), milliseconds: try Self.askTime(&members))
    case .subscribe: self = .subscribe
    case .stop: self = .stop
    case .key: self = .key
    case .rotateKey: self = .rotateKey(forgetOld: try members.flag("forget_old"))
    case .invite:
      self = .invite(
        InviteOrder(
          uses: try members.number("uses", in: InviteOrder.usesRange) ?? InviteOrder.defaultUses,
          lifetime: try members.number("expires_s", in: InviteOrder.lifetimeRange) ?? InviteOrder.defaultLifetime,
          deviceID: try members.optionalText("device_id"), servers: try members.texts("servers")))
    case .invites: self = .invites
    case .uninvite: self = .uninvite(id: try members.text("id"))
    case .pending: self = .pending
    case .approve: self = .approve(try members.text("name"))
    case .deny: self = .deny(try members.text("name"))
    case .devices: self = .devices(named: try members.optionalText("name"))
    case .revoke: self = .revoke(device: try members.text("device_id"))
    case .forget: self = .forget(device: try members.text("device_id"))
    case .leases: self = .leases
    case .pinLease:
      self = .pinLease(device: try members.text("device_id"), address: try members.optionalText("address"))
    case .freeLease: self = .freeLease(try members.text("name"))
    case .reload: self = .reload
    case .announce: self = .announce(try AnnounceOrder(&members))
    case .drain:
      self = .drain(
        milliseconds: try members.number("within_ms", in: Self.drainRange) ?? Self.defaultDrain,
        restart: try members.flag("restart"))
    case .backup: self = .backup
    case .logLevel: self = .logLevel(try members.optionalText("level"))
    case .diagnostics: self = .diagnostics
    }
  }

  private static func askTime(_ members: inout RequestMembers) throws(ControlError) -> Int {
    try members.number("within_ms", in: askRange) ?? defaultAsk
  }
}
