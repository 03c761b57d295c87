internal import Control
internal import Device
internal import Netcheck
internal import SystemIO
internal import Tun
internal import Wire

/// The facts about the path from this host to a peer at one time. `PathWalk` judges them.
public struct PathFacts: Sendable {
  /// The peer's name as the operator gave it.
  var name: String
  var peer: Peer
  var interface: Interface
  var uplink: Uplink
  var relay = Relay()
  /// The result of the echo to the peer; `nil`: none was sent.
  var echo: PingOutcome?
  /// The age of the sealed session with the peer, in seconds; `nil`: there is none.
  var session: Double?
  /// The answer to packets of this host's kernel, by the first of the interface's families; `nil`: none were sent.
  var packets: PacketProbe.Answer?
  /// The same by the second one.
  var packets6: PacketProbe.Answer?
  /// The result of looking up the peer's name, as programs of this host do; `nil`: not looked up.
  var naming: Naming?
  /// The packets that this device carried during the walk; `nil`: not measured.
  var traffic: Traffic?

  enum Peer: Sendable {
    /// This host itself.
    case host
    case absent(Absence)
    case known(PeersReport.Peer, session: SessionReport?)
  }

  /// No connected device has the name.
  struct Absence: Sendable {
    /// A similar device ID.
    var near: String?
    /// Whether this host knows of all peers.
    var isSure = true
    /// The relay's record of the device; only on the relay's host.
    var memory: Memory?
  }

  /// A relay's record of a device that is not connected. Times are in seconds.
  public enum Memory: Sendable, Equatable {
    case revoked
    /// It was connected this long ago.
    case seen(Double)
    /// It waits for an operator.
    case pending
    /// An operator has denied it: the relay refuses its key for this long.
    case denied(Double)
    case stranger
  }

  struct Interface: Sendable {
    var name: String
    /// `nil`: there is no such interface.
    var state: InterfaceState?
    /// Why the kernel does not tell the state.
    var problem: String?
    /// The addresses that the interface should have; `nil` before the first join, and while the address is released.
    var address: IPv4Address?
    var pool: IPv4Prefix?
    /// IPv4, IPv6 or both, as `name` asks for: an address for its own, any other name for both where this host has
    /// both.
    var families: [Family] = []
  }

  /// IPv4 or IPv6 on the interface.
  struct Family: Sendable {
    /// This host's address in the network and the route to it, which the interface should have.
    var address: String
    var network: HostNetwork.Prefix
    var hasAddress: Bool
    var hasRoute: Bool
    /// The address of the peer, or of the relay, and the kernel's route to it.
    var target: String?
    var route: Route?
  }

  struct Route: Sendable, Equatable {
    /// `nil`: the kernel has no route.
    var interface: String?
    /// The source address of packets, if the kernel tells it.
    var source: String?
  }

  struct Uplink: Sendable {
    /// This is the relay's own host, whose connection does not leave the process.
    var isLocal: Bool
    /// For how long it is connected, in seconds; `nil`: it is not.
    var joined: Double?
    var server: String?
    /// What the device is doing now.
    var progress: String
    var lastLoss: String?
    /// Whether that was an attempt to connect, and not the end of a connection.
    var lastLossWasAttempt = false
    /// How long ago, in seconds.
    var lost: Double?
    /// Set while this device waits for an operator's approval.
    var applicant: Applicant?
    /// Whether the relay refused this device, with a reason that says what to do.
    var wasTurnedAway = false
  }

  /// This device, as it appears in the relay's list of pending devices.
  struct Applicant: Sendable, Equatable {
    var deviceID: String
    var fingerprint: String
  }

  /// The relay, as this device sees it.
  struct Relay: Sendable {
    /// The echo's round trip; `nil`: there was no answer.
    var roundTripMs: Double?
    var version: String?
    /// The queue to the relay.
    var link: LinkReport?
    /// Whether large packets get through to it; `nil`: not known.
    var sizes: PacketSizes?
    /// The connection's largest TCP segments, if they are smaller because larger ones did not get through.
    var segmentLimit: Int?
  }

  /// Packets between this host's kernel and the network during the walk, other programs' packets included.
  struct Traffic: Sendable, Equatable {
    /// From the kernel to peers.
    var sent: Int
    /// From peers to the kernel.
    var received: Int
  }

  /// What programs of this host find under the peer's name.
  struct Naming: Sendable {
    var name: String
    /// How this host resolves names, and why it does not, if that is known.
    var names: NamesReport
    /// The numeric addresses that a lookup gave, or why it gave none; `nil`: nobody looked it up.
    var found: Result<[String], Reason>?

    struct Reason: Error, Equatable {
      let text: String

      init(_ text: String) { self.text = text }
    }

    /// Looks the name up, if programs of this host are meant to find it. Blocks until `deadline` at most.
    mutating func lookUp(until deadline: Instant) {
      guard names.by == .systemdResolved || names.by == .hostsFile else { return }
      let answer = try? Resolver.resolve(name, port: 0, until: deadline)
      found =
        (answer ?? nil)?.map { $0.map(\.host) }.mapError { Reason("\($0)") } ?? .failure(Reason("no answer in time"))
    }
  }
}
