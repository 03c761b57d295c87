import ArgumentParser
import BugReport
import CommandLine
import Config
import Control
import SystemIO
import SystemPackage

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes an archive for a bug report, without secrets.",
    discussion: """
      Holds status, peers, configuration and the end of the log of each daemon here, and facts about this host. Any \
      user may write one; configuration and log need root or the daemon's user. Read it before you send it.
      """)

  @Argument(
    help: "The archive to make; - is standard output (default: mnedc-report-DATE-TIME.tar).",
    completion: .file())
  var file: String?

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  private var isForOutput: Bool { file == "-" }

  func validate() throws {
    guard isForOutput else { return }
    if output.json { throw ValidationError("--json describes the written file; name a file") }
    if Terminal.isOne(.output) {
      throw ValidationError(
        "the archive is not for a terminal; name a file, or send it on (mnedc-ctl report - >report.tar)")
    }
  }

  func run() throws {
    let name = "mnedc-report-\(Self.time())"
    let file = file ?? "\(name).tar"
    let bugReport = try collect()
    let archive = bugReport.archive(directory: name, time: UnixTime.now())
    if isForOutput { return try printOut(archive.bytes) }
    do {
      try writeNewPrivateFile(file, archive.bytes)
    } catch {
      let status: ExitStatus =
        switch error {
        case .fileExists: .cannotCreate
        case .permissionDenied: .noPermission
        default: .ioError
        }
      throw Failure(status, "cannot write the report to \(file): \(error); name another file")
    }
    let entries = ([(name: "README", text: bugReport.readme)] + bugReport.files).map { file in
      ArchiveReport.Entry(name: file.name, bytes: file.text.utf8.count)
    }
    let report = ArchiveReport(file: file, entries: entries, missing: bugReport.missing)
    try output.show(report) { Self.text(report) }
  }

  /// `2026-11-24-140307`
  private static func time() -> String {
    String(localTime().prefix(19).filter { $0 != ":" }.map { $0 == " " ? "-" : $0 })
  }

  private func collect() throws -> BugReport {
    var report = BugReport()
    let running = try control.running()
    report.add("system.txt", "mnedc-ctl \(suiteVersion)\n\(HostText.system())")
    report.add("network.txt", HostText.network())
    if running.isEmpty { report.miss("daemons", "none runs here") }
    var hasConfiguration = false
    for place in running {
      let name = place.name?.description ?? "daemon"
      // One that does not answer must not keep the rest from being told.
      func ask<Answer: Codable>(_ command: ControlCommand, _ what: String, _ take: (Answer) -> Void) {
        do {
          take(try control.ask(command, at: place))
        } catch {
          report.miss("\(what) of \(name)", (error as? Failure)?.message ?? "\(error)")
        }
      }
      var role: KeyReport.Role?
      ask(.status, "status") { (status: StatusReport) in
        role = status.role
        report.add("status-\(name).json", JSON.pretty(status))
      }
      ask(.peers, "peers") { (peers: PeersReport) in report.add("peers-\(name).json", JSON.pretty(peers)) }
      ask(.diagnostics, "configuration and log") { (diagnostics: DiagnosticsReport) in
        hasConfiguration = true
        report.add(diagnostics, of: name)
      }
      if role == .relay { ask(.leases, "leases") { (leases: LeasesReport) in report.add(leases, of: name) } }
    }
    if !hasConfiguration { addFile(to: &report) }
    return report
  }

  /// The configuration that a daemon would go by.
  private func addFile(to report: inout BugReport) {
    do {
      report.add("configuration.yaml", try control.configuration.load().withoutCommands.render())
    } catch {
      report.add("configuration.txt", (error as? Failure)?.message ?? "\(error)")
    }
  }

  private static func text(_ report: ArchiveReport) -> String {
    var table = Table(["FILE", "SIZE"])
    for entry in report.entries { table.add([entry.name, Table.bytes(entry.bytes)]) }
    var lines = ["\(report.file) holds, for you alone to read:", "", table.text, ""]
    if !report.missing.isEmpty { lines += ["Not in it:"] + report.missing.map { "  \($0)" } + [""] }
    lines.append(
      "Keys, invites and arguments of commands are left out; addresses, device IDs, names and labels are not. Look "
        + "through it before you send it: tar -xOf \(report.file) | less")
    return lines.joined(separator: "\n")
  }
}
