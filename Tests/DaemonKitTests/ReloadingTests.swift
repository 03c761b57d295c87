import CommandLine
import Config
import Testing

@testable import DaemonKit

@Suite struct ReloadingTests {
  private func settings(level: Settings.LogLevel = .info, interface: String = "mnedc0") -> Settings {
    var settings = Settings()
    settings.logLevel = level
    settings.relay.interface = interface
    return settings
  }

  @Test func `what may change is taken over, and what needs a restart is named and stays`() throws {
    var applied: [Settings.LogLevel] = []
    let reloading = Reloading(.relay, inForce: settings()) {
      settings(level: .debug, interface: "other")
    } apply: {
      applied.append($0.logLevel)
    }
    let report = try reloading.reload { _ in }
    #expect(applied == [.debug])
    #expect(report.applied.map(\.key) == ["log-level"] && report.needsRestart.map(\.key) == ["relay.interface"])
    #expect(reloading.inForce == settings(level: .debug))
    // The restart is still due, and nothing else is new.
    let second = try reloading.reload { _ in }
    #expect(second.applied.isEmpty && second.needsRestart.map(\.new) == ["other"])
  }

  @Test func `what could not be applied is not reported as applied`() throws {
    let reloading = Reloading(.relay, inForce: settings()) {
      settings(level: .debug)
    } apply: {
      $0.logLevel = .info
    }
    let report = try reloading.reload { _ in }
    #expect(report.applied.isEmpty && report.needsRestart.map(\.key) == ["log-level"])
    #expect(reloading.inForce == settings())
  }

  @Test func `a file that is wrong changes nothing`() {
    let reloading = Reloading(.device, inForce: settings()) {
      throw Failure(.configuration, "line 3 is wrong")
    } apply: { _ in
      Issue.record("nothing is to be applied")
    }
    #expect(throws: Failure.self) { try reloading.reload { _ in } }
    #expect(reloading.inForce == settings())
  }
}
