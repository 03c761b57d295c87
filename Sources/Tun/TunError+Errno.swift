internal import SystemIO
internal import SystemPackage

// Which error of a step means what.
extension TunError {
  private static var refusal: String {
    guard let node = try? FileAttributes(of: TunDescriptor.path) else { return "its directory is closed" }
    let mode = String(node.mode, radix: 8)
    return "its mode is 0\(mode), its owner \(User.name(of: node.user)), and this process is user "
      + User.name(of: currentUser())
  }

  /// /dev/net/tun did not open.
  init(opening error: Errno) {
    self.init(opening: error, refusal: TunDescriptor.isPermitted ? nil : Self.refusal)
  }

  /// `refusal` says why its owner, group and mode do not let this process open it, if they do not.
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
      self.init(step: "opening /dev/net/tun", NetlinkFailure(error: error, text: nil))
    }
  }

  /// There is no netlink socket.
  init(netlink error: Errno) {
    switch error {
    case .notPermitted, .permissionDenied, .addressFamilyNotSupported, .protocolNotSupported: self = .noNetlink(error)
    default: self = .failed(step: "opening a netlink socket", error, detail: nil)
    }
  }

  /// The interface `name` was not made (TUNSETIFF).
  init(attaching name: String, _ error: Errno) {
    switch error {
    case .resourceBusy, .fileExists: self = .nameTaken(name)
    case .invalidArgument: self = .badName(name)
    default: self.init(step: "making the interface \(name)", NetlinkFailure(error: error, text: nil))
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
