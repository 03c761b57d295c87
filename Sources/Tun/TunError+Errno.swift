internal import SystemPackage

// Which error of a step means what.
extension TunError {
  /// /dev/net/tun did not open.
  init(opening error: Errno) {
    switch error {
    case .noSuchFileOrDirectory, .noSuchAddressOrDevice, .operationNotSupportedByDevice:
      self = .noTunDevice
    default:
      self.init(step: "opening /dev/net/tun", NetlinkFailure(error: error, text: nil))
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
