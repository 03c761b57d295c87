import Device
import Wire

/// The relay in this process, for the device that its host is: nobody can come between.
struct OwnRelay: RelayTrust {
  func expectedKey(of server: String) -> PublicKey? { nil }

  func check(_ key: PublicKey, of server: String) throws(RelayDistrust) -> Bool { false }

  func replace(_ old: PublicKey, with new: PublicKey, of server: String) throws(RelayDistrust) {}
}
