internal import SystemIO
internal import Tun
package import Wire

// Packets for addresses that no listed peer has: the relay is asked, and the senders on this host are told.
extension PacketPump {
  /// The relay tells of peers: sessions and waiting packets follow.
  package func update(_ update: PeerUpdate, _ onChange: (PeerChange) -> Void = { _ in }) -> Neighbourhood.Outcome {
    let outcome = neighbourhood.apply(update, onChange)
    for address in update.dismissed ?? [] { links.drop(address) }
    links.update()
    // A partial update begins with no peers, so ask for those with links: as many as the relay answers at once.
    if update.partial == true {
      for state in links.linked.prefix(Sought.maximumWatched) { neighbourhood.ask(for: state.address) }
    }
    neighbourhood.unlocated.dropOutdated(at: .now())
    for address in neighbourhood.unlocated.addresses {
      if let state = neighbourhood.listed(address) { send(neighbourhood.unlocated.take(address), to: state) }
    }
    return outcome
  }

  /// Keeps a packet until the relay has said who has its address, or tells the sender if the relay has said that nobody
  /// has.
  func askFor(
    _ address: IPv4Address, _ record: UnsafeMutableRawBufferPointer, _ packet: UnsafeRawBufferPointer, _ peek: IPPeek
  ) {
    let now = Instant.now()
    guard !neighbourhood.unlocated.isAbsent(address, at: now) else {
      packetCounters.unroutable += 1
      return tellSender(of: packet, peek, at: now)
    }
    let isReturning = neighbourhood.returning[address] != nil
    let record = UnsafeRawBufferPointer(record)
    if neighbourhood.unlocated.add(record, for: address, isReturning: isReturning, at: now) {
      neighbourhood.ask(for: address)
    }
  }

  /// A frame has come from an address that the relay has not told of. In a large network it tells when asked.
  func wonder(about address: IPv4Address) {
    guard neighbourhood.mayLocate(address), questions.allow(at: .now()) else { return }
    neighbourhood.ask(for: address)
  }

  /// The relay says that nobody has this address. Of a returning peer it says so too early.
  func markAbsent(_ address: IPv4Address) {
    guard neighbourhood.returning[address] == nil else { return }
    let now = Instant.now()
    tellSenders(of: neighbourhood.unlocated.markAbsent(address, at: now), at: now)
  }

  /// The relay is to be asked again for returning peers that packets wait for.
  func askForReturning() {
    for address in neighbourhood.unlocated.addresses where neighbourhood.returning[address] != nil {
      neighbourhood.ask(for: address)
    }
  }

  /// The peer has not returned in time.
  func giveUp(_ address: IPv4Address) {
    tellSenders(of: neighbourhood.unlocated.take(address), at: .now())
  }

  func tellSenders(of records: [[UInt8]], at now: Instant) {
    for record in records {
      packetCounters.unroutable += 1
      record.withUnsafeBytes { record in
        let packet = UnsafeRawBufferPointer(rebasing: record[OffloadHeader.size...])
        if let peek = IPPeek(packet.bytes) { tellSender(of: packet, peek, at: now) }
      }
    }
  }

  /// Tells a program on this host that its packet cannot be delivered.
  func tellSender(of packet: UnsafeRawBufferPointer, _ peek: IPPeek, at now: Instant) {
    guard let membership = neighbourhood.membership,
      let reply = UnreachableReply.packet(about: packet, peek, to: membership),
      neighbourhood.unlocated.mayReply(at: now)
    else { return }
    _ = reply.withUnsafeBytes { tun.write($0) }
  }
}
