import Identity
import Noise
import Relay

extension RelayKeys {
  /// The keys in the relay's state directory; the first one is made if there is none.
  convenience init(in directory: StateDirectory) throws(StateError) {
    let current = try KeyFile.relay(in: directory).loadOrCreate { PrivateKey().bytes }
    let former = try FormerKeys(in: directory).load()
    guard let key = PrivateKey(current) else { preconditionFailure("any 32 bytes are a key") }
    self.init(key, former: former.compactMap { PrivateKey($0) })
  }
}
