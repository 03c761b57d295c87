public import Wire

/// How a device tells its relay from others: by a key that the config pins, or by the one that the relay had the first time.
/// Called on the device's thread; may read and write small files.
public protocol RelayTrust: Sendable {
  /// The key that the relay named so in the config (`host:port`) is expected to have; `nil` if it was never met.
  func expectedKey(of server: String) -> PublicKey?

  /// Decides about the key that a relay has proved to have. True: it is met for the first time, and its key kept.
  func check(_ key: PublicKey, of server: String) throws(RelayDistrust) -> Bool

  /// The relay, which has proved to have the key `old`, announces that it will have `new`.
  func replace(_ old: PublicKey, with new: PublicKey, of server: String) throws(RelayDistrust)
}

/// Why a relay is not the one it should be: one line that says what to do.
public struct RelayDistrust: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) {
    self.description = description
  }
}
