public import Control
internal import Wire

/// The files of a bug report, redacted.
public struct BugReport: Sendable {
  public private(set) var files: [(name: String, text: String)] = []
  /// What the report lacks, and why.
  public private(set) var missing: [String] = []

  public init() {}

  /// Adds a file of that name, redacted, with a newline at its end.
  public mutating func add(_ name: String, _ text: String) {
    let clean = Redaction.text(text)
    files.append((name, clean.hasSuffix("\n") ? clean : clean + "\n"))
  }

  /// Notes in the report that something is missing.
  public mutating func miss(_ what: String, _ why: String) {
    missing.append(Redaction.text("\(what): \(why)"))
  }

  /// Adds the diagnostics of the daemon that is called `name`.
  public mutating func add(_ diagnostics: DiagnosticsReport, of name: String) {
    add("configuration-\(name).yaml", diagnostics.configuration)
    let lines = diagnostics.log.map { "\($0.time) \($0.level): \($0.text)" }
    add("log-\(name).txt", lines.isEmpty ? "nothing was logged" : lines.joined(separator: "\n"))
  }

  /// Adds the number of leases of each kind, without their devices.
  public mutating func add(_ leases: LeasesReport, of name: String) {
    let kinds = Dictionary(grouping: leases.leases) { $0.kind.rawValue }.sorted { $0.key < $1.key }
    let lines = kinds.map { "\($0.key)  \($0.value.count), \($0.value.count { $0.online }) online" }
    add("leases-\(name).txt", (["all  \(leases.leases.count)"] + lines).joined(separator: "\n"))
  }

  /// The archive: all files in one directory, with a README that explains them.
  public func archive(directory: String, time: Int64) -> TarArchive {
    var archive = TarArchive(time: time)
    for (name, text) in [(name: "README", text: readme)] + files {
      archive.add("\(directory)/\(name)", Array(text.utf8))
    }
    return archive
  }

  public var readme: String {
    let gaps = missing.isEmpty ? "" : "\nNot in it:\n" + missing.map { "  \($0)\n" }.joined()
    return """
      A report of mnedc-ctl for people who look for an error.

      Keys and fingerprints are cut to their first characters; invites, private keys, and arguments of commands are
      left out. Addresses, device IDs, host names, services and labels are in it, as they are needed: look through
      all of it before you send it, and change what is nobody's business.

      """ + files.map { "  \($0.name)\n" }.joined() + gaps
  }
}
