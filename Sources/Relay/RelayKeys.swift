public import Noise
internal import Synchronization
public import Wire

/// The relay's key, and former keys, with which it still proves itself to devices that do not know the present one. For
/// any thread.
public final class RelayKeys: Sendable {
  private let state: Mutex<State>

  private struct State {
    var current: PrivateKey
    var publicKey: PublicKey
    var former: [(hint: UInt64, key: PrivateKey)]
  }

  public init(_ current: PrivateKey, former: [PrivateKey] = []) {
    state = Mutex(
      State(current: current, publicKey: current.publicKey, former: former.map { ($0.publicKey.hint, $0) }))
  }

  public var publicKey: PublicKey { state.withLock { $0.publicKey } }

  /// The key for a device that expects the key with this hint.
  func key(for hint: UInt64) -> PrivateKey {
    state.withLock { state in
      state.former.first { $0.hint == hint }?.key ?? state.current
    }
  }

  /// The present key, if `shown` is another one.
  func successor(of shown: PublicKey?) -> PublicKey? {
    state.withLock { $0.publicKey == shown ? nil : $0.publicKey }
  }

  /// Makes `key` the present key, and the present one a former key; or forgets all former keys.
  func replace(with key: PrivateKey, forgettingOld: Bool) {
    state.withLock { state in
      state.former = forgettingOld ? [] : state.former + [(state.publicKey.hint, state.current)]
      state.current = key
      state.publicKey = key.publicKey
    }
  }
}
