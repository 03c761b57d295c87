public import CommandLine
public import Device
public import Identity
public import Tun

extension Failure {
  /// An interface that cannot be made.
  public init(_ error: TunError) {
    let status: ExitStatus =
      switch error {
      case .noPermission, .deviceRefused: .noPermission
      case .nameTaken: .cannotCreate
      case .badName, .mtuRefused, .addressRefused: .configuration
      case .noTunDevice, .noNetlink, .failed: .systemError
      }
    self.init(status, error.description)
  }
}

extension Failure {
  /// An interface that fails while the device runs.
  public init(_ failure: DeviceFailure) {
    switch failure {
    case .configure(let error): self.init(error)
    case .interface(let name, let errno):
      self.init(.systemError, "the interface \(name) has failed: \(errno); start this program again")
    case .lostInterface(let name):
      self.init(
        .systemError,
        "another program has deleted the interface \(name), or moved it to another network namespace; start this "
          + "program again, which makes the interface anew")
    }
  }
}

extension Failure {
  /// A state directory, or a file in it, that cannot be used.
  public init(_ error: StateError) {
    let status: ExitStatus =
      switch error.kind {
      case .unsafe, .denied: .noPermission
      case .damaged: .noInput
      case .system: .systemError
      }
    self.init(status, error.description)
  }
}
