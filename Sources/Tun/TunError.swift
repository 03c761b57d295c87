internal import SystemIO
public import SystemPackage

/// Why an interface is missing or wrongly configured. The description says what to do about it.
public enum TunError: Error, Equatable, CustomStringConvertible {
  /// /dev/net/tun or its driver is missing.
  case noTunDevice
  /// This process may not open /dev/net/tun.
  case deviceRefused(String, advice: String)
  /// The kernel gives this process no socket for rtnetlink(7): a unit or a container forbids it.
  case noNetlink(Errno)
  /// `step` needs a right that the process lacks.
  case noPermission(step: String)
  /// Another interface has this name.
  case nameTaken(String)
  /// No interface can have this name.
  case badName(String)
  /// The interface does not accept an MTU of so many bytes.
  case mtuRefused(Int, reason: String)
  /// The interface does not accept this address, given with its prefix length.
  case addressRefused(String, reason: String)
  /// `step` failed in another way; `detail` is the kernel's sentence, if it gave one.
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
  /// The MTU, in bytes, is below the 1280 that IPv6 needs (RFC 8200, section 5).
  case mtuTooSmall(Int)
  /// The kernel's reason: IPv6 is not built in, or switched off.
  case refused(String)

  public var description: String {
    switch self {
    case .mtuTooSmall(let mtu): "an MTU of \(mtu) bytes is too small for IPv6, which needs 1280"
    case .refused(let reason): "the kernel gives it no IPv6 address (\(reason))"
    }
  }
}

// What the kernel's errors mean at each step.
extension TunError {
  /// /dev/net/tun did not open.
  init(opening error: Errno) {
    self.init(opening: error, refusal: TunDescriptor.isPermitted ? nil : Self.refusal)
  }

  private static var refusal: String {
    guard let node = try? FileAttributes(of: TunDescriptor.path) else { return "its directory is closed" }
    return "its mode is \(node.octalMode), its owner \(User.name(of: node.user)), and this process is user "
      + User.name(of: currentUser())
  }

  /// `refusal` says why owner, group and mode of /dev/net/tun do not let this process open it; `nil` if they do.
  init(opening error: Errno, refusal: String?) {
    switch error {
    case .noSuchFileOrDirectory, .noSuchAddressOrDevice, .operationNotSupportedByDevice:
      self = .noTunDevice
    case .permissionDenied where refusal != nil:
      self = .deviceRefused(
        "\(error) (\(refusal ?? ""))",
        advice:
          "run chmod 0666 /dev/net/tun, which is the mode that udev gives it: to make an interface with it, a program "
          + "needs CAP_NET_ADMIN all the same")
    case .permissionDenied:
      self = .deviceRefused(
        "\(error), though its mode allows it",
        advice: "see whether /dev is mounted with nodev, or a security module (AppArmor, SELinux) refuses it")
    case .notPermitted:
      self = .deviceRefused(
        "\(error), since the devices of this service or container do not include it",
        advice: "give it the device: DeviceAllow=/dev/net/tun rw in a unit, --device /dev/net/tun for a container")
    default:
      self.init(step: "opening /dev/net/tun", NetlinkFailure(error: error))
    }
  }

  /// There is no netlink socket.
  init(netlink error: Errno) {
    switch error {
    case .notPermitted, .permissionDenied, .addressFamilyNotSupported, .protocolNotSupported: self = .noNetlink(error)
    default: self = .failed(step: "opening a netlink socket", error, detail: nil)
    }
  }

  /// The kernel did not make the interface `name` (TUNSETIFF).
  init(attaching name: String, _ error: Errno) {
    switch error {
    case .resourceBusy, .fileExists: self = .nameTaken(name)
    case .invalidArgument: self = .badName(name)
    default: self.init(step: "making the interface \(name)", NetlinkFailure(error: error))
    }
  }

  init(mtu: Int, of name: String, _ failure: NetlinkFailure) {
    switch failure.error {
    case .invalidArgument, .outOfRange: self = .mtuRefused(mtu, reason: failure.reason)
    default: self.init(step: "setting the MTU of \(name)", failure)
    }
  }

  init(address: String, of name: String, _ failure: NetlinkFailure) {
    switch failure.error {
    case .invalidArgument, .outOfRange, .fileExists, .addressNotAvailable, .addressInUse:
      self = .addressRefused(address, reason: failure.reason)
    default:
      self.init(step: "giving \(name) the address \(address)", failure)
    }
  }

  /// The kernel refused `step`.
  init(step: String, _ failure: NetlinkFailure) {
    switch failure.error {
    case .notPermitted, .permissionDenied: self = .noPermission(step: step)
    default: self = .failed(step: step, failure.error, detail: failure.text)
    }
  }
}
