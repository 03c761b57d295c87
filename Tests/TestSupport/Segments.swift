public import Wire

/// A TCP segment over IPv4, or of any length a super-packet, with a payload of zeros and no checksums.
public func segment(
  from source: IPv4Address, to destination: IPv4Address, sequence: UInt32 = 0, acknowledgment: UInt32 = 0,
  ports: (source: UInt16, destination: UInt16) = (5001, 443), options: [UInt8] = [], payload: Int = 0
) -> [UInt8] {
  let transport = tcpHeader(sequence, acknowledgment, ports, options)
  var packet: [UInt8] = [0x45, 0] + big(UInt16(20 + transport.count + payload)) + [0, 0, 0x40, 0, 64, 6, 0, 0]
  packet += big(source.bits) + big(destination.bits) + transport
  return packet + [UInt8](repeating: 0, count: payload)
}

/// The same over IPv6.
public func segment(
  from source: IPv6Address, to destination: IPv6Address, sequence: UInt32 = 0, acknowledgment: UInt32 = 0,
  ports: (source: UInt16, destination: UInt16) = (5001, 443), options: [UInt8] = [], payload: Int = 0
) -> [UInt8] {
  let transport = tcpHeader(sequence, acknowledgment, ports, options)
  var packet: [UInt8] = [0x60, 0, 0, 0] + big(UInt16(transport.count + payload)) + [6, 64]
  for half in [source.high, source.low, destination.high, destination.low] { packet += big(half) }
  return packet + transport + [UInt8](repeating: 0, count: payload)
}

/// The length of `options` is a multiple of four.
private func tcpHeader(
  _ sequence: UInt32, _ acknowledgment: UInt32, _ ports: (source: UInt16, destination: UInt16), _ options: [UInt8]
) -> [UInt8] {
  big(ports.source) + big(ports.destination) + big(sequence) + big(acknowledgment)
    + [UInt8(20 + options.count) << 2, 0x10, 0x20, 0, 0, 0, 0, 0] + options
}

/// The option that nearly all segments have, as all systems lay it out (RFC 7323).
public func timestamps(_ value: UInt32 = 1, echo: UInt32 = 2) -> [UInt8] {
  [1, 1, 8, 10] + big(value) + big(echo)
}

private func big(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number.bigEndian) { Array($0) }
}
