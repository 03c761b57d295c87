public import Device
internal import Synchronization
public import SystemIO
public import Wire

/// A device without a kernel interface, in this process.
public final class TestDevice: Sendable {
  public let device: Device
  public let interface: MemoryPacketDevice
  public let events = Mailbox<DeviceEvent>()
  /// How far it has come on its way in.
  public let steps = Mailbox<JoinStep>()

  /// Begins to join the relay at `address`, whose key it does not know.
  public convenience init(
    _ deviceID: String, relay address: SocketAddress, peers: PeerSettings? = nil, token: Token? = nil,
    trust: any RelayTrust = TrustAnybody(), prepare: (MemoryPacketDevice) -> Void = { _ in },
    change: (inout DeviceSettings) -> Void = { _ in }
  ) throws {
    try self.init(
      deviceID, route: .servers([(host: address.host, port: address.port)]), peers: peers, token: token, trust: trust,
      prepare: prepare, change: change)
  }

  /// Begins to join; `change` gets the settings first, and `prepare` the interface.
  public init(
    _ deviceID: String, route: RelayRoute, peers: PeerSettings? = nil, token: Token? = nil,
    trust: any RelayTrust = TrustAnybody(), allowOverlap: Bool = false,
    prepare: (MemoryPacketDevice) -> Void = { _ in }, change: (inout DeviceSettings) -> Void = { _ in }
  ) throws {
    interface = try MemoryPacketDevice()
    prepare(interface)
    var settings = DeviceSettings(
      deviceID: deviceID, peers: peers ?? PeerSettings(key: testKey(deviceID)), trust: trust, route: route)
    settings.token = token
    settings.allowOverlap = allowOverlap
    change(&settings)
    device = try Device(settings, interface) { [events, steps] event in
      if case .reached(let step, _) = event { steps.put(step) } else { events.put(event) }
    }
    device.start()
  }

  public func stop() {
    device.stop()
  }

  /// The device's address once it has joined `joins` times.
  public func address(afterJoins joins: Int = 1) -> IPv4Address? {
    var found: IPv4Address?
    _ = wait {
      let addresses = events.items.compactMap { event -> IPv4Address? in
        if case .joined(let address, _, _) = event { address } else { nil }
      }
      found = addresses.count >= joins ? addresses[joins - 1] : nil
      return found != nil
    }
    return found
  }

  public func status() -> DeviceStatus? {
    let answer = Mailbox<DeviceStatus>()
    device.status { answer.put($0) }
    return answer.waitFor(1).first
  }

  /// Waits until it knows these devices, and no others.
  public func knows(_ deviceIDs: Set<String>) -> Bool {
    wait { Set(status()?.peers.map(\.peer.deviceID) ?? []) == deviceIDs }
  }

  /// What it knows of the peer with this ID.
  public func status(of deviceID: String) -> PeerStatus? {
    status()?.peers.first { $0.peer.deviceID == deviceID }
  }

  /// The next packet that the device wrote to its interface, without its offload header.
  public func receive() -> [UInt8]? {
    interface.takeWritten(within: generousWait).map { Array($0[OffloadHeader.size...]) }
  }

  /// Lets the kernel that is not there send a packet.
  public func send(_ packet: [UInt8]) {
    interface.inject([UInt8](repeating: 0, count: OffloadHeader.size) + packet)
  }
}

/// An IPv4 packet with a UDP header and `payload`; checksums are left at zero, as offloads leave them.
public func datagram(
  from source: IPv4Address, to destination: IPv4Address, _ payload: [UInt8], port: UInt16 = 9
) -> [UInt8] {
  var packet: [UInt8] = [0x45, 0]
  packet += big(UInt16(28 + payload.count)) + [0, 0, 0, 0, 64, 17, 0, 0]
  for address in [source, destination] {
    packet += big(UInt16(truncatingIfNeeded: address.bits >> 16)) + big(UInt16(truncatingIfNeeded: address.bits))
  }
  return packet + big(port) + big(port) + big(UInt16(8 + payload.count)) + [0, 0] + payload
}

/// The same over IPv6.
public func datagram(
  from source: IPv6Address, to destination: IPv6Address, _ payload: [UInt8], port: UInt16 = 9
) -> [UInt8] {
  var packet: [UInt8] = [0x60, 0, 0, 0] + big(UInt16(8 + payload.count)) + [17, 64]
  for half in [source.high, source.low, destination.high, destination.low] {
    packet += withUnsafeBytes(of: half.bigEndian) { Array($0) }
  }
  return packet + big(port) + big(port) + big(UInt16(8 + payload.count)) + [0, 0] + payload
}

private func big(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] }

/// For tests that are not about who the relay is.
public struct TrustAnybody: RelayTrust {
  public init() {}
  public func expectedKey(of server: String) -> PublicKey? { nil }
  public func check(_ key: PublicKey, of server: String) throws(RelayDistrust) -> Bool { false }
  public func replace(_ old: PublicKey, with new: PublicKey, of server: String) throws(RelayDistrust) {}
}
