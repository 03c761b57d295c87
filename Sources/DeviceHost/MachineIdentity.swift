public import CommandLine
internal import SystemIO
internal import Wire

/// Names for devices that were given none.
public enum MachineIdentity {
  /// The host's name and eight hexadecimal digits that stand for the machine (`kitchen-3fa1c09b`): different on two
  /// machines of the same name, the same after every restart. The machine's identity itself cannot be told from it.
  public static func deviceID() throws(Failure) -> String {
    let bytes = (try? readFile("/etc/machine-id", limit: 64)) ?? []
    let digits = bytes.prefix { $0 != UInt8(ascii: "\n") }
    guard digits.count == 32 else {
      throw Failure(
        .configuration, "this machine has no identity in /etc/machine-id; write `device-id: NAME` to the configuration")
    }
    let name = hostName().flatMap(DeviceID.sanitized) ?? "device"
    let host = name.split(separator: ".").first.map(String.init) ?? name
    return "\(host.prefix(DeviceID.maximumLength - 9))-\(hexadecimal(fold(digits)))"
  }

  /// FNV-1a over the identity and a word of our own, folded to 32 bits: it tells machines apart, and hides nothing secret.
  private static func fold(_ identity: some Sequence<UInt8>) -> UInt32 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in Array("mnedc device ".utf8) + Array(identity) {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    return UInt32(truncatingIfNeeded: hash ^ hash >> 32)
  }

  private static func hexadecimal(_ number: UInt32) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
