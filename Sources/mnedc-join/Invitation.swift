import CommandLine
import Config
import Identity
import Noise
import SystemIO
import Wire

/// An invite, with the relay that it names.
struct Invitation {
  let token: Token
  /// Whether only the invite gives the relay's key.
  let bringsKey: Bool
  let servers: [ServerAddress]
  let serverKey: [UInt8]

  /// Throws if the invite and the configuration file or the options name different relays. A reset replaces the file's
  /// relay by the invite's.
  init(_ invite: InviteText, _ given: JoinOptions, isReset: Bool) throws {
    guard let token = Token(invite.token) else { preconditionFailure("an invite's token has the right size") }
    self.token = token
    bringsKey = (isReset || given.file.serverKeys.isEmpty) && given.serverKeys.isEmpty
    serverKey = invite.relayKey
    do {
      servers = try invite.servers.map { try ServerAddress(parsing: $0) }
    } catch {
      throw Failure(.usage, "the invite names a server that cannot be one: \(error)")
    }
    guard given.serverKeys.isEmpty || given.serverKeys.contains(serverKey) else {
      throw Failure(
        .usage,
        "the invite is for the relay with the key \(Self.fingerprint(serverKey)), --server-key for another; leave it "
          + "out"
      )
    }
    if !isReset { try check(against: given) }
  }

  private func check(against given: JoinOptions) throws {
    let file = given.file
    let advice =
      "to leave that network for the invite's, run this again with --reset; to be in both, give the second one a name "
      + "of its own (--name)"
    guard file.serverKeys.isEmpty || given.pinned.contains(serverKey) else {
      let pins = file.serverKeys.map(Self.fingerprint).joined(separator: ", ")
      throw Failure(
        .configuration,
        "\(given.path) names another relay (server-key \(pins)) than the invite (\(Self.fingerprint(serverKey))); if "
          + "that relay has a new key, correct server-key there; \(advice)")
    }
    let isSame = !file.serverKeys.isEmpty || file.servers.isEmpty || !Set(file.servers).isDisjoint(with: servers)
    guard isSame else {
      throw Failure(
        .configuration,
        "\(given.path) names another relay (\(file.servers.map(\.description).joined(separator: ", "))) than the "
          + "invite (\(servers.map(\.description).joined(separator: ", "))); \(advice)")
    }
  }

  private static func fingerprint(_ key: [UInt8]) -> String { PublicKey(key)?.fingerprint ?? "" }
}

/// The configuration file of a join, and the options that override it.
struct JoinOptions {
  /// The file, its content if it exists, and its settings.
  var path: String
  var content: [UInt8]?
  var file: Settings
  /// The defaults for the file.
  var defaults: Settings
  /// The options `--server`, `--server-key` and `--device-id`.
  var servers: [ServerAddress]
  var serverKeys: [[UInt8]]
  var deviceID: String?
  /// The device's state directory, which may not exist yet.
  var state: String

  /// The keys that the file pins, and their successors.
  var pinned: [[UInt8]] {
    guard !file.serverKeys.isEmpty, (try? FileAttributes(of: state)) != nil else { return file.serverKeys }
    return file.serverKeys
      + file.serverKeys.compactMap { key in
        (try? StateDirectory(state)).flatMap { try? RelaySuccessors(in: $0).newest(of: key) }
      }
  }

  /// Whether the file also configures a relay.
  var isOfRelay: Bool { file.relay != defaults.relay }
}
