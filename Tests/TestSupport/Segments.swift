public import Wire

/// A TCP segment over IPv4, or of any length a super-packet, with a payload of zeros and no checksums.
public func segment(
  from source: IPv4Address, to destination: IPv4Address, sequence: UInt32 = 0, acknowledgment: UInt32 = 0,
  ports: (source: UInt16, destination: UInt16) = (5001, 443), options: Int = 0, payload: Int = 0
) -> [UInt8] {
  let transport = tcpHeader(sequence, acknowledgment, ports, options)
  var packet: [UInt8] = [0x45, 0] + big(UInt16(20 + transport.count + payload)) + [0, 0, 0x40, 0, 64, 6, 0, 0]
  packet += big(source.bits) + big(destination.bits) + transport
  return packet + [UInt8](repeating: 0, count: payload)
}

/// The same over IPv6.
public func segment(
  from source: IPv6Address, to destination: IPv6Address, sequence: UInt32 = 0, acknowledgment: UInt32 = 0,
  ports: (source: UInt16, destination: UInt16) = (5001, 443), payload: Int = 0
) -> [UInt8] {
  let transport = tcpHeader(sequence, acknowledgment, ports, 0)
  var packet: [UInt8] = [0x60, 0, 0, 0] + big(UInt16(transport.count + payload)) + [6, 64]
  for half in [source.high, source.low, destination.high, destination.low] { packet += big(half) }
  return packet + transport + [UInt8](repeating: 0, count: payload)
}

/// `options`: bytes of padding, a multiple of four.
private func tcpHeader(
  _ sequence: UInt32, _ acknowledgment: UInt32, _ ports: (source: UInt16, destination: UInt16), _ options: Int
) -> [UInt8] {
  big(ports.source) + big(ports.destination) + big(sequence) + big(acknowledgment)
    + [UInt8(20 + options) << 2, 0x10, 0x20, 0, 0, 0, 0, 0] + [UInt8](repeating: 1, count: options)
}

private func big(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number.bigEndian) { Array($0) }
}
