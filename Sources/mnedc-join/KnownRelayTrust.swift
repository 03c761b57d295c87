import Device
import Identity
import Noise
import Synchronization
import Wire

/// Trusts the keys that the configuration pins, and their successors. If it pins none, trusts the key at first contact,
/// which the state directory keeps.
final class KnownRelayTrust: RelayTrust {
  private let pins: Mutex<[PublicKey]>
  /// The pinned key to expect next: one of several relays may have answered at the address of another.
  private let expected = Atomic(0)
  private let known: KnownRelays
  private let successors: RelaySuccessors
  /// Whether the key comes from an invite and not yet from the configuration.
  private let isInvited: Atomic<Bool>
  /// Whether the invite overrides an announced successor of its key.
  private let isReset: Atomic<Bool>

  /// `isInvited`: the invite has brought the key. If keys are pinned, a damaged file is set aside, and `warn` gets a
  /// line; otherwise it is an error, since the device would trust any relay that answers.
  init(
    pinned: [[UInt8]], isInvited: Bool, isReset: Bool, in directory: StateDirectory, warn: (String) -> Void
  ) throws(StateError) {
    self.isInvited = Atomic(isInvited)
    self.isReset = Atomic(isReset)
    pins = Mutex(pinned.compactMap { PublicKey($0) })
    known = KnownRelays(in: directory)
    successors = RelaySuccessors(in: directory)
    func check(_ name: String, _ consequence: String, _ check: () throws(StateError) -> Void) throws(StateError) {
      do {
        try check()
      } catch {
        guard !pinned.isEmpty, error.isOfContent else { throw error }
        warn(directory.setAside(name, because: error, consequence))
      }
    }
    try check(KnownRelays.fileName, "this device trusts the relay that server-key names", known.check)
    try check(
      RelaySuccessors.fileName,
      "server-key counts as it is; if the relay has replaced that key, correct it (mnedc-ctl key there shows it)",
      successors.check)
  }

  private var pinned: [PublicKey] { pins.withLock { $0 } }

  /// Notes that the configuration now names the relay and pins these `keys`, which only an invite or nothing pinned
  /// before. From any thread.
  func noteConfigured(_ keys: [[UInt8]]) {
    if !keys.isEmpty { pins.withLock { $0 = keys.compactMap { PublicKey($0) } } }
    isInvited.store(false, ordering: .relaxed)
    isReset.store(false, ordering: .relaxed)
  }

  func expectedKey(of server: String) -> PublicKey? {
    let pinned = pinned
    if !pinned.isEmpty {
      let pin = pinned[expected.load(ordering: .relaxed) % pinned.count]
      return (try? newest(of: pin)) ?? pin
    }
    return (try? known.key(of: server)).flatMap { PublicKey($0) }
  }

  func check(_ key: PublicKey, of server: String) throws(RelayDistrust) -> Bool {
    do {
      return pinned.isEmpty ? try meet(key, server) : try checkPinned(key, server)
    } catch let error as RelayDistrust {
      throw error
    } catch {
      throw RelayDistrust("the keys of known relays cannot be read or kept: \(error)")
    }
  }

  private func checkPinned(_ key: PublicKey, _ server: String) throws -> Bool {
    if isReset.load(ordering: .relaxed), pinned.contains(key) { try successors.forgetSuccessor(of: key.bytes) }
    // A key with a successor is no longer trusted: it may have been stolen.
    for pin in pinned where try key == newest(of: pin) { return false }
    expected.add(1, ordering: .relaxed)
    let pins = pinned.map(\.fingerprint).joined(separator: ", ")
    let (who, mend) =
      isInvited.load(ordering: .relaxed)
      ? ("the invite names", "for another invite (mnedc-ctl invite)")
      : ("server-key pins", "(mnedc-ctl key), and correct server-key in the configuration")
    throw RelayDistrust(
      "\(server) has the key \(key.fingerprint), but \(who) \(pins): either this is not the relay that it should be, "
        + "or its key was replaced; ask its operator \(mend)")
  }

  private func meet(_ key: PublicKey, _ server: String) throws -> Bool {
    if try known.key(of: server) == key.bytes { return false }
    guard case .conflict(let bytes) = try known.add(server, key.bytes) else { return true }
    let former = PublicKey(bytes)?.fingerprint ?? ""
    throw RelayDistrust(
      "\(server) has the key \(key.fingerprint), but had \(former) before: either this is not the relay that it was, "
        + "or its key was replaced; ask its operator (mnedc-ctl key), and remove the line of \(server) from "
        + "\(known.path)")
  }

  func replace(_ old: PublicKey, with new: PublicKey, of server: String) throws(RelayDistrust) {
    do {
      // The configuration may have pinned the first key just now.
      if pinned.isEmpty { try known.replace(server, old.bytes, with: new.bytes) }
      try successors.add(old.bytes, new.bytes)
    } catch {
      throw RelayDistrust("\(error)")
    }
  }

  private func newest(of key: PublicKey) throws(StateError) -> PublicKey? {
    PublicKey(try successors.newest(of: key.bytes))
  }
}
