import Control
import Testing
import Wire

@testable import BugReport

@Suite struct BugReportTests {
  @Test func `every text is redacted as it is added, and the README names them all`() {
    var report = BugReport()
    let secret = String(repeating: "s", count: 43)
    report.add("status-relay.json", secret)
    report.miss("peers of relay", secret)
    report.add(
      DiagnosticsReport(
        configuration: "server-key: \(secret)\n",
        log: [LogLineReport(time: "now", loggedAt: 1, level: "info", text: secret)]), of: "device")
    #expect(report.files.map(\.name) == ["status-relay.json", "configuration-device.yaml", "log-device.txt"])
    #expect(report.files.allSatisfy { !$0.text.contains(secret) && $0.text.hasSuffix("\n") })
    #expect(!report.readme.contains(secret) && report.missing == ["peers of relay: ssssssss..."])
    for file in report.files { #expect(report.readme.contains("  \(file.name)\n")) }
  }

  @Test func `leases are counted by kind, and not told`() {
    func lease(_ kind: LeaseKind, online: Bool) -> LeasesReport.Lease {
      LeasesReport.Lease(
        address: "10.0.0.2", address6: nil, deviceId: "hub", kind: kind, online: online, lastUsedAt: 0)
    }
    var report = BugReport()
    let leases = [lease(.pinned, online: true), lease(.leased, online: true), lease(.leased, online: false)]
    report.add(LeasesReport(leases), of: "relay")
    #expect(report.files.map(\.text) == ["all  3\nleased  2, 1 online\npinned  1, 1 online\n"])
  }
}
