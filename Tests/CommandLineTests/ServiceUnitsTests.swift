import Testing

@testable import CommandLine

@Suite struct ServiceUnitsTests {
  /// As `systemctl show` prints it.
  private func unit(
    _ id: String, _ active: String, _ sub: String, result: String = "success", status: Int = 0,
    file: String = "enabled", load: String = "loaded"
  ) -> String {
    """
    Id=\(id)
    LoadState=\(load)
    ActiveState=\(active)
    SubState=\(sub)
    Result=\(result)
    ExecMainStatus=\(status)
    UnitFileState=\(file)

    """
  }

  @Test func `a failed unit is named with its status before all others`() {
    let output = [
      unit("mnedcd.service", "inactive", "dead", file: "disabled"),
      unit("mnedc-join.service", "failed", "failed", result: "exit-code", status: 78),
      unit("mnedc-join@shop.service", "failed", "failed", result: "watchdog"),
    ].joined(separator: "\n")
    #expect(
      ServiceUnits.advice(from: output)
        == "mnedc-join.service has failed (exit status 78): journalctl -u mnedc-join says why, and systemctl start "
        + "mnedc-join "
        + "starts it again; mnedc-join@shop.service has failed (watchdog): journalctl -u mnedc-join@shop says why, and "
        + "systemctl start mnedc-join@shop starts it again")
  }

  @Test(
    arguments: [
      ("activating", "auto-restart", "enabled", "is about to be started again: journalctl -u mnedcd says why"),
      ("activating", "start", "enabled", "is being started"),
      ("active", "running", "enabled", "runs, but not at this socket"),
      ("inactive", "dead", "enabled", "is stopped: systemctl start mnedcd starts it"),
      ("inactive", "dead", "static", "is stopped: systemctl start mnedcd starts it"),
      ("inactive", "dead", "disabled", "is disabled: systemctl enable --now mnedcd starts it"),
    ])
  func `each state has its own advice`(active: String, sub: String, file: String, advice: String) throws {
    let text = try #require(ServiceUnits.advice(from: unit("mnedcd.service", active, sub, file: file)))
    #expect(text.hasPrefix("mnedcd.service ") && text.contains(advice), "\(text)")
  }

  @Test(arguments: ["", "\n", "Unit x could not be found.\n", "Id=mnedcd.service\nLoadState=not-found\n"])
  func `where systemd knows no unit, nothing is said of it`(output: String) {
    #expect(ServiceUnits.advice(from: output) == nil)
  }
}
