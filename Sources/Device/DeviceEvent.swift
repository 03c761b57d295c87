public import SystemIO
public import SystemPackage
public import Tun
public import Wire

/// What happens to a device. Reported on the device's own thread.
public enum DeviceEvent: Sendable {
  /// A step of joining was reached, at that time.
  case reached(JoinStep, at: Instant)
  /// The relay has admitted the device, and the interface is up.
  case joined(address: IPv4Address, pool: IPv4Prefix, server: String)
  /// The relay has changed the network's addresses; the device's own is the same.
  case networkChanged(pool: IPv4Prefix, pool6: IPv6Prefix?)
  /// Another network of this host has begun to use addresses of this one.
  case collided(NetworkCollision)
  /// No other network of this host uses addresses of this one any more.
  case collisionEnded(NetworkCollision)
  /// There is no connection; the next attempt comes after `retry`.
  case lost(UplinkLoss, retry: Duration)
  /// The relay is about to end: nothing is sent any more, but frames are still received.
  case draining(server: String)
  /// The device waits until an operator approves it.
  case pending(server: String)
  /// The relay has proved a key that was not known before, and is trusted from now on.
  case trusted(PublicKey, server: String)
  /// The relay admits the device with this key from now on.
  case keyReplaced(PublicKey)
  /// The device keeps its key: the relay refuses the new one, or (`nil`) knows the present one, so that the next key,
  /// of which the relay must not hear, is not needed.
  case keyKept(Refusal?)
  /// The device's location in the tree of routers is known, or has changed.
  case located(Orchestration.Location)
  /// What has become of peers, in this order. After a lost connection, peers that came and went meanwhile are included.
  case peers([PeerEvent])
  /// Another program has changed the interface, which has this name now, or its IPv6 address has come or gone.
  case interfaceChanged(String)
  /// Something that an operator may want to know.
  case notice(String)
  /// Something that an operator should know.
  case warning(String)
  /// The interface cannot be set up, or does not work any more: the device has stopped.
  case failed(DeviceFailure)
}

public enum DeviceFailure: Error, Sendable {
  case configure(TunError)
  case interface(String, Errno)
  /// Another program has deleted the interface, or moved it to another network namespace.
  case lostInterface(String)
}

/// The steps of joining, in order. An attempt that fails ends with `DeviceEvent.lost`, and the next one begins anew.
public enum JoinStep: Sendable, Equatable {
  /// Looking up the name of a server; for an address this takes no time.
  case lookingUp(String)
  /// Dialing one of its addresses.
  case connecting(SocketAddress)
  /// There is a connection, and the relay has to prove its identity.
  case greeting
  /// The relay has proved this key, and has been asked to admit the device.
  case asking(PublicKey)
  /// The relay has admitted the device.
  case admitted
  /// The device has this address: nothing on this host collides with the network.
  case address(IPv4Address, in: IPv4Prefix)
  /// The interface of that name is up, with the address.
  case interface(String)
  /// The relay has answered the first echo, after this time.
  case echo(Duration)
}

/// What has become of a peer, as far as this device knows.
public enum PeerEvent: Sendable, Equatable {
  case joined(Peer)
  /// It has left, or another device has its address, of which the next event tells.
  case left(Peer)
  /// What the peer tells of itself is known, or newer than before.
  case changed(Peer, Orchestration)
}
