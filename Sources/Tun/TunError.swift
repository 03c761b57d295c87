public import SystemPackage

/// Why there is no interface, or not as it should be. The description says what to do about it.
public enum TunError: Error, Equatable, CustomStringConvertible {
  /// /dev/net/tun is not there, or there is no driver behind it.
  case noTunDevice
  /// /dev/net/tun is there, and this process may not open it.
  case deviceRefused(String, advice: String)
  /// The kernel gives this process no socket for rtnetlink(7): a unit or a container forbids it.
  case noNetlink(Errno)
  /// `step` needs a right that the process lacks.
  case noPermission(step: String)
  /// Another interface has this name.
  case nameTaken(String)
  /// No interface can have this name.
  case badName(String)
  /// The interface does not take an MTU of so many bytes.
  case mtuRefused(Int, reason: String)
  /// The interface does not take this address, given with its prefix length.
  case addressRefused(String, reason: String)
  /// `step` failed in another way; `detail` is the kernel's own word on it, if it gave one.
  case failed(step: String, Errno, detail: String?)

  public var description: String {
    switch self {
    case .noTunDevice:
      "there is no /dev/net/tun; load the driver with `modprobe tun`, or give the container the device"
        + " (--device /dev/net/tun)"
    case .deviceRefused(let reason, let advice):
      "opening /dev/net/tun: \(reason); \(advice)"
    case .noNetlink(let error):
      "no netlink socket, by which interfaces and addresses are set up, can be had (\(error)); allow it: AF_NETLINK in"
        + " RestrictAddressFamilies= of a unit, or another seccomp profile for a container"
    case .noPermission(let step):
      "\(step): not permitted; run as root or with CAP_NET_ADMIN (a container needs the device /dev/net/tun, too)"
    case .nameTaken(let name):
      "there is an interface \(name) already; end the program that has it, or choose another name (--interface)"
    case .badName(let name):
      "an interface cannot be called '\(name)': a name has 1 to 15 bytes, without spaces, '/', ':' and '%'"
    case .mtuRefused(let mtu, let reason):
      "an MTU of \(mtu) bytes is refused: \(reason); choose one from 68 to 65535"
    case .addressRefused(let address, let reason):
      "the address \(address) is refused: \(reason)"
    case .failed(let step, let error, let detail):
      "\(step): \(error)" + (detail.map { " (\($0))" } ?? "")
    }
  }
}

/// Why an interface goes without the IPv6 address that it should have.
public enum MissingIPv6: Sendable, Equatable, CustomStringConvertible {
  /// Linux has no IPv6 where the MTU, in bytes, is below what every link must carry: 1280 (RFC 8200, section 5).
  case mtuTooSmall(Int)
  /// The kernel's word: IPv6 is not built in, or switched off.
  case refused(String)

  public var description: String {
    switch self {
    case .mtuTooSmall(let mtu): "an MTU of \(mtu) bytes is too small for IPv6, which needs 1280"
    case .refused(let reason): "the kernel gives it no IPv6 address (\(reason))"
    }
  }
}
