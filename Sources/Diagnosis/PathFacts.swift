public import Control
public import Device
public import SystemPackage
public import Tun
public import Wire

/// What is known of the path from this host to a peer at one time; `PathWalk` judges it.
public struct PathFacts: Sendable {
  /// Who is wanted, as it was asked for.
  public var name: String
  public var peer: Peer
  public var interface: Interface
  public var uplink: Uplink
  public var relay = Relay()
  /// What became of the echo to the peer; `nil`: none was sent.
  public var echo: PingOutcome?
  /// Since when there is a sealed session with the peer, in seconds; `nil`: there is none.
  public var session: Double?
  /// What became of packets of this host's kernel, by the first of the interface's families; `nil`: none were sent.
  public var packets: Packets?
  /// The same by the second one.
  public var packets6: Packets?
  /// What programs of this host find under the peer's name; `nil`: that was not looked up.
  public var naming: Naming?
  /// What this device has carried meanwhile; `nil`: nobody has looked.
  public var traffic: Traffic?

  public init(name: String, peer: Peer, interface: Interface, uplink: Uplink) {
    self.name = name
    self.peer = peer
    self.interface = interface
    self.uplink = uplink
  }

  public enum Peer: Sendable {
    /// This host itself.
    case host
    /// Nobody of that name is in.
    case absent(Absence)
    case known(PeersReport.Peer, session: SessionReport?)
  }

  public struct Absence: Sendable {
    /// The ID that was perhaps meant.
    public var near: String?
    /// Whether this host is told of all peers.
    public var isSure = true
    /// What the relay remembers of the device, where this is its host.
    public var memory: Memory?

    public init(near: String? = nil, isSure: Bool = true, memory: Memory? = nil) {
      self.near = near
      self.isSure = isSure
      self.memory = memory
    }
  }

  /// What a relay remembers of a device that is not in.
  public enum Memory: Sendable, Equatable {
    case revoked
    /// It was here before, so many seconds ago.
    case seen(Double)
    /// It waits for an operator.
    case pending
    /// An operator has turned it away: its key is refused for so many seconds more.
    case denied(Double)
    case stranger
  }

  public struct Interface: Sendable {
    public var name: String
    /// How it is; `nil`: there is none.
    public var state: InterfaceState?
    /// Why that cannot be told, if it cannot.
    public var problem: String?
    /// What it should have; `nil` before the first join, and while the address is given up.
    public var address: IPv4Address?
    public var pool: IPv4Prefix?
    /// IPv4, IPv6 or both, as `name` asks for: an address for its own, any other name for both where this host has
    /// both.
    public var families: [Family] = []

    public init(name: String, state: InterfaceState?, address: IPv4Address?, pool: IPv4Prefix?) {
      self.name = name
      self.state = state
      self.address = address
      self.pool = pool
    }
  }

  /// IPv4 or IPv6 on the interface.
  public struct Family: Sendable {
    /// What the interface should have: this host's address in the network, and a route to it.
    public var address: String
    public var network: HostNetwork.Prefix
    public var hasAddress: Bool
    public var hasRoute: Bool
    /// The way that the kernel has for packets to `target`: the peer, or the relay's own address.
    public var target: String?
    public var route: Route?

    public init(address: String, network: HostNetwork.Prefix, hasAddress: Bool, hasRoute: Bool) {
      self.address = address
      self.network = network
      self.hasAddress = hasAddress
      self.hasRoute = hasRoute
    }
  }

  public struct Route: Sendable, Equatable {
    /// `nil`: there is no way.
    public var interface: String?
    /// The address that packets come from, if the kernel says.
    public var source: String?

    public init(interface: String?, source: String? = nil) {
      self.interface = interface
      self.source = source
    }
  }

  public struct Uplink: Sendable {
    /// Of the relay's own host, whose connection leaves no process.
    public var isLocal: Bool
    /// For how long, in seconds; `nil`: there is no connection.
    public var joined: Double?
    public var server: String?
    /// What it is about.
    public var progress: String
    public var lastLoss: String?
    /// Whether that was an attempt to connect, and not the end of a connection.
    public var lastLossWasAttempt = false
    /// How long ago, in seconds.
    public var lost: Double?
    /// What an operator of the relay has to approve, while this device waits for that.
    public var applicant: Applicant?
    /// Whether the loss was an answer, which says itself what to do.
    public var wasTurnedAway: Bool

    public init(
      isLocal: Bool, joined: Double?, server: String?, progress: String, lastLoss: String? = nil, lost: Double? = nil,
      wasTurnedAway: Bool = false
    ) {
      self.wasTurnedAway = wasTurnedAway
      self.isLocal = isLocal
      self.joined = joined
      self.server = server
      self.progress = progress
      self.lastLoss = lastLoss
      self.lost = lost
    }
  }

  /// This device, as an operator of the relay finds it among those that wait.
  public struct Applicant: Sendable, Equatable {
    public var deviceID: String
    public var fingerprint: String

    public init(deviceID: String, fingerprint: String) {
      self.deviceID = deviceID
      self.fingerprint = fingerprint
    }
  }

  /// The relay, as this device sees it.
  public struct Relay: Sendable {
    /// The echo of now; `nil`: it did not come.
    public var roundTripMs: Double?
    public var version: String?
    /// What waits for the relay here.
    public var link: LinkReport?
    /// Whether large packets get through to it; `nil`: not known.
    public var sizes: PacketSizes?
    /// The largest TCP segments of the connection, if they were made smaller since larger ones did not get through.
    public var segmentLimit: Int?

    public init(roundTripMs: Double? = nil, version: String? = nil, link: LinkReport? = nil) {
      self.roundTripMs = roundTripMs
      self.version = version
      self.link = link
    }
  }

  /// What passed between this host's kernel and the network while packets were tried, other programs' packets among it.
  public struct Traffic: Sendable, Equatable {
    /// From the kernel to peers.
    public var sent: Int
    /// From peers to the kernel.
    public var received: Int

    public init(sent: Int, received: Int) {
      self.sent = sent
      self.received = received
    }
  }

  public enum Packets: Sendable, Equatable {
    case answered
    /// Small ones were; packets of so many bytes were not.
    case answeredSmall(Int)
    case refused(Errno)
    case silent(triedEcho: Bool)

    var isAnswer: Bool {
      switch self {
      case .answered, .answeredSmall: true
      case .refused, .silent: false
      }
    }
  }
}
