import SystemPackage
import Testing

@testable import Tun

@Suite struct TunErrorTests {
  @Test(arguments: [Errno.noSuchFileOrDirectory, .operationNotSupportedByDevice, .noSuchAddressOrDevice])
  func `no device says how to get one`(error: Errno) {
    #expect(TunError(opening: error) == .noTunDevice)
    #expect(TunError(opening: error).description.contains("modprobe tun"))
  }

  @Test(arguments: [Errno.notPermitted, .permissionDenied])
  func `no permission says which is needed`(error: Errno) {
    let failure = NetlinkFailure(error: error, text: nil)
    for error in [
      TunError(attaching: "a", error), TunError(mtu: 1400, of: "a", failure),
      TunError(address: "10.0.0.1/24", of: "a", failure), TunError(step: "bringing a up", failure),
    ] {
      guard case .noPermission = error else {
        Issue.record("\(error)")
        continue
      }
      #expect(error.description.contains("CAP_NET_ADMIN"))
    }
  }

  @Test func `a device that may not be opened says why`() {
    let byMode = TunError(opening: .permissionDenied, refusal: "its mode is 0600, its owner root")
    #expect(
      byMode.description.hasPrefix("opening /dev/net/tun: Permission denied (its mode is 0600, its owner root); "))
    #expect(byMode.description.contains("chmod 0666 /dev/net/tun"))
    #expect("\(TunError(opening: .permissionDenied, refusal: nil))".contains("nodev"))
    #expect("\(TunError(opening: .notPermitted, refusal: nil))".contains("DeviceAllow=/dev/net/tun rw"))
  }

  @Test func `a netlink socket that is forbidden says who forbids it`() {
    for error in [Errno.notPermitted, .permissionDenied, .addressFamilyNotSupported] {
      #expect(TunError(netlink: error) == .noNetlink(error))
      #expect(TunError(netlink: error).description.contains("RestrictAddressFamilies="))
    }
    #expect(TunError(netlink: .noMemory).description == "opening a netlink socket: Cannot allocate memory")
  }

  @Test func `attaching tells a taken name from a bad one`() {
    #expect(TunError(attaching: "a", .resourceBusy) == .nameTaken("a"))
    #expect(TunError(attaching: "a", .invalidArgument) == .badName("a"))
  }

  @Test func `a refusal gives the kernel's sentence, or the error's`() {
    let said = NetlinkFailure(error: .invalidArgument, text: "mtu less than device minimum")
    #expect(TunError(mtu: 60, of: "a", said) == .mtuRefused(60, reason: "mtu less than device minimum"))
    #expect(TunError(address: "1.2.3.4/8", of: "a", said) == .addressRefused("1.2.3.4/8", reason: said.reason))
    let silent = NetlinkFailure(error: .invalidArgument, text: nil)
    #expect(TunError(mtu: 60, of: "a", silent).description.contains("Invalid argument"))
  }

  @Test func `anything else names the step`() {
    let error = TunError(attaching: "mnedc0", .noMemory)
    #expect(error.description == "making the interface mnedc0: Cannot allocate memory")
    let failure = NetlinkFailure(error: .noMemory, text: "too bad")
    #expect(TunError(step: "a step", failure).description == "a step: Cannot allocate memory (too bad)")
  }
}
