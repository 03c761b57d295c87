internal import Noise
internal import Tun
internal import Wire

/// Who uses an uplink. Called on the loop.
protocol UplinkDelegate: AnyObject {
  /// Why this host cannot take part in `network`, whose relay it reaches at the address `host`; `nil` if it can.
  func uplinkObjection(to network: NetworkNotice, from host: String?) -> NetworkCollision?
  /// How far the way into the network has been gone.
  func uplinkReached(_ step: JoinStep)
  /// The relay lets this device in.
  func uplinkJoined(_ welcome: Welcome)
  /// The relay has changed the terms of this device's lease, but not its address.
  func uplinkRenewed(_ welcome: Welcome, from host: String?)
  func uplinkReceived(_ message: ControlMessage)
  /// A data frame's payload, good for this call and to be changed in place.
  func uplinkReceived(_ payload: UnsafeMutableRawBufferPointer, from source: IPv4Address)
  /// A peer-handshake frame's payload, good for this call.
  func uplinkReceived(handshake payload: UnsafeRawBufferPointer, from source: IPv4Address)
  /// An operator has to let this device in.
  func uplinkIsPending()
  func uplinkWarns(_ line: String)
  /// The relay is about to end, and takes no more data; what it still has comes.
  func uplinkDrains()
  /// The connection is made anew, without a reason to worry.
  func uplinkPauses()
  /// The relay lets the device in with this key alone from now on; or does not take the new key, or (`nil`) has no need
  /// of it.
  func uplinkReplacedKey(_ key: PrivateKey)
  func uplinkKeptKey(_ refusal: Refusal?)
  /// The relay was met for the first time, or has replaced its key.
  func uplinkTrusts(_ key: PublicKey)
  /// An attempt or a connection has ended; the next attempt comes after `retry`.
  func uplinkLost(_ reason: UplinkLoss, retry: Duration)
}
