import ArgumentParser
import CommandLine
import Control
import SystemIO
import SystemPackage

struct Backup: ParsableCommand {
  static let configuration = CommandConfiguration(
    for: "backup",
    """
    It holds devices, leases and invites as they are now, and takes the file's place when it is whole; the relay goes \
    on meanwhile. Keep the relay's keys with it.
    """)

  @Argument(help: "The copy, new or in place of a former one; - for standard output.", completion: .file())
  var file: String

  @OptionGroup var control: ControlOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if file.isEmpty { throw ValidationError("name the file that the copy goes to") }
    guard file == "-" else { return }
    if output.json { throw ValidationError("--json describes the written file; name a file") }
    if Terminal.isOne(.output) {
      throw ValidationError("the copy is not for a terminal; name a file, or send it on (mnedc-ctl backup - >relay.db)")
    }
  }

  func run() throws {
    if file != "-" { try Self.checkPlace(file) }
    var (report, copy): (BackupReport, OpenFile) = try control.waitingLonger(by: ControlCommand.backupTime)
      .askForFile(.backup)
    guard file != "-" else {
      do {
        return try copy.forEachPiece { piece throws(Errno) in try writeOut(Array(piece)) }
      } catch {
        throw Failure(.ioError, "cannot write the output: \(error)")
      }
    }
    try Self.checkIsOther(file, than: report.database)
    do {
      try copy.copy(to: file)
    } catch {
      throw Self.failure(file, error)
    }
    report.file = file
    try output.show(report) { Self.text(report, file) }
  }

  private static func failure(_ file: String, _ error: Errno) -> Failure {
    let status: ExitStatus =
      switch error {
      case .permissionDenied, .notPermitted: .noPermission
      case .noSuchFileOrDirectory, .isDirectory, .notDirectory: .cannotCreate
      default: .ioError
      }
    return Failure(status, "cannot write the backup to \(file): \(error); name another file")
  }

  /// Throws unless `file` is missing, empty or a former copy.
  private static func checkPlace(_ file: String) throws(Failure) {
    guard file.utf8.last != UInt8(ascii: "/") else { throw failure(file, .isDirectory) }
    let header: [UInt8]
    do {
      let attributes = try FileAttributes(of: file)
      if attributes.kind == .directory { throw failure(file, .isDirectory) }
      header = attributes.kind == .regular ? try readRegularFile(file, limit: 100) : [0]
    } catch let error as Errno {
      if error == .noSuchFileOrDirectory { return }
      throw failure(file, error)
    } catch let error as Failure {
      throw error
    } catch {
      fatalError("no other error is thrown here")
    }
    // An SQLite database with the relay's application ID in its header.
    let isCopy =
      header.count == 100 && header.starts(with: Array("SQLite format 3\0".utf8))
      && header[68..<72] == Array("MNED".utf8)[...]
    guard header.isEmpty || isCopy else {
      throw Failure(.cannotCreate, "\(file) exists and is not a relay's backup; name another file, or remove it")
    }
  }

  private static func checkIsOther(_ file: String, than database: String) throws(Failure) {
    guard isSameFile(file, database) else { return }
    throw Failure(.cannotCreate, "\(file) is the relay's own database; name another file")
  }

  private static func text(_ report: BackupReport, _ file: String) -> String {
    let content = [
      Table.count(report.devices, "device"), Table.count(report.leases, "lease"), Table.count(report.invites, "invite"),
    ]
    return """
      \(file) holds \(content.joined(separator: ", ")) in \(Table.bytes(report.bytes)), for you alone to read.
      A restored relay needs these as well, or its devices refuse it: \(report.keys.joined(separator: " "))
      How to restore it: see BACKUP in mnedcd(8).
      """
  }
}
