internal import Link
internal import Wire

/// A device that is in. Guarded by the presence's lock.
final class Member {
  // Set once.
  let session: Session
  let applicant: Applicant
  let address: IPv4Address
  /// As others are told of it.
  let encoded: EncodedPeer

  /// Whether an operator has sent it away for good: nobody is to keep what was agreed on with it.
  var isDismissed = false
  /// Whether it is told only of the peers that it has asked for.
  var isPartial: Bool
  /// The revision that it was told last; of one that is told everything, the presence's counts.
  var revision = 0
  /// Those who have asked for this member, and are told what becomes of it.
  private(set) var watchers: [ObjectIdentifier: Member] = [:]
  /// Whom this member has asked for, the latest last.
  private(set) var watched: [IPv4Address] = []

  init(session: Session, applicant: Applicant, address: IPv4Address, isPartial: Bool) {
    self.session = session
    self.applicant = applicant
    self.address = address
    self.isPartial = isPartial
    encoded = EncodedPeer(
      Peer(address: address, deviceID: applicant.deviceID, key: applicant.key, ciphers: applicant.ciphers))
  }

  func send(_ frame: [UInt8]) {
    session.connection.send(control: frame)
  }

  /// Has this member told what becomes of `other` from now on. Returns whom it is not told of any more in exchange.
  func watch(_ other: Member) -> IPv4Address? {
    guard other.watchers.updateValue(self, forKey: ObjectIdentifier(self)) == nil else { return nil }
    watched.append(other.address)
    return watched.count > Sought.maximumWatched ? watched.removeFirst() : nil
  }

  func loseWatcher(_ other: Member) {
    watchers[ObjectIdentifier(other)] = nil
  }

  func stopWatching(_ address: IPv4Address) {
    if let index = watched.firstIndex(of: address) { watched.remove(at: index) }
  }

  /// Hands those who watch this member over to its successor at the same address, or to what is told of its leaving.
  func takeWatchers() -> [ObjectIdentifier: Member] {
    defer { watchers = [:] }
    return watchers
  }

  func inherit(_ watchers: [ObjectIdentifier: Member]) {
    self.watchers = watchers
  }

  func takeWatched() -> [IPv4Address] {
    defer { watched = [] }
    return watched
  }
}
