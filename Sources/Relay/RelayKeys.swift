public import Noise
internal import Synchronization
public import Wire

/// The relay's keys: the one that it has now, and former ones, with which it still proves itself to devices that know no other
/// yet. For any thread.
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

  /// The key to prove oneself with to a device that expects the one of `hint`.
  func key(for hint: UInt64) -> PrivateKey {
    state.withLock { state in
      state.former.first { $0.hint == hint }?.key ?? state.current
    }
  }

  /// The present key, if `shown` is another one.
  func successor(of shown: PublicKey?) -> PublicKey? {
    state.withLock { $0.publicKey == shown ? nil : $0.publicKey }
  }

  /// From now on the relay has `key`; the one that it had is a former one, unless they are all forgotten.
  func replace(with key: PrivateKey, forgettingOld: Bool) {
    state.withLock { state in
      state.former = forgettingOld ? [] : state.former + [(state.publicKey.hint, state.current)]
      state.current = key
      state.publicKey = key.publicKey
    }
  }
}
