internal import Identity
internal import Noise
internal import SystemIO
internal import Wire

/// Which key a server should have, as far as this host knows: the one that the configuration or an invite pins, or its
/// successor, or the one that it had before. Reads the device's state directory, if there is one; changes nothing.
struct RelayExpectation {
  private let pinned: [PublicKey]
  private let known: KnownRelays?
  /// Why the state directory could not be read.
  let problem: String?

  /// `pinned` are public keys of 32 bytes, `directory` is the device's state directory.
  init(pinned: [[UInt8]], directory: String) {
    var keys = pinned.compactMap { PublicKey($0) }
    var (known, problem) = (KnownRelays?.none, String?.none)
    // Opening a missing directory would create it.
    if (try? FileAttributes(of: directory)) != nil {
      do throws(StateError) {
        let state = try StateDirectory(directory)
        known = KnownRelays(in: state)
        let successors = RelaySuccessors(in: state)
        var newest: [PublicKey] = []
        for key in keys { newest.append(PublicKey(try successors.newest(of: key.bytes)) ?? key) }
        keys = newest
      } catch {
        problem = error.finding
      }
    }
    self.pinned = keys
    self.known = known
    self.problem = problem
  }

  /// The hello's hint at the key that the relay shall prove; 0 for any.
  func hint(for server: String) -> UInt64 { (pinned.first ?? former(server))?.hint ?? 0 }

  enum Verdict: Equatable {
    case pinned
    /// None of the pinned ones.
    case notPinned([PublicKey])
    /// The same as before.
    case known
    /// Not the same as before.
    case changed(PublicKey)
    /// Never met before.
    case stranger
  }

  func judge(_ key: PublicKey, of server: String) -> Verdict {
    if !pinned.isEmpty { return pinned.contains(key) ? .pinned : .notPinned(pinned) }
    guard let former = former(server) else { return .stranger }
    return former == key ? .known : .changed(former)
  }

  private func former(_ server: String) -> PublicKey? {
    ((try? known?.key(of: server)) ?? nil).flatMap { PublicKey($0) }
  }
}
