public import SystemIO
public import Wire

/// How far a device is on its way into the network, in this order; told as each is reached. An attempt that comes to
/// nothing ends with `DeviceEvent.lost`, and the next one begins anew.
public enum JoinStep: Sendable, Equatable {
  /// The name of a server is looked up; or it is an address, which takes no time.
  case lookingUp(String)
  /// One of its addresses is dialed.
  case connecting(SocketAddress)
  /// The connection is there, and the relay has to prove who it is.
  case greeting
  /// It has, with this key; and has been asked to let the device in.
  case asking(PublicKey)
  /// The relay lets it in.
  case admitted
  /// It may have this address: nothing on this host collides with the network.
  case address(IPv4Address, in: IPv4Prefix)
  /// The interface of that name is up, with the address.
  case interface(String)
  /// The relay has answered the first echo, after this time.
  case echo(Duration)
}
