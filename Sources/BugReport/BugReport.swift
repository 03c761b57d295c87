public import Control
internal import Wire

/// What goes into the archive for a bug report: texts by name, none of which holds what is nobody's business.
public struct BugReport: Sendable {
  public private(set) var files: [(name: String, text: String)] = []
  /// What is not in it, and why.
  public private(set) var missing: [String] = []

  public init() {}

  /// Adds a text under that name, redacted, with an end of line.
  public mutating func add(_ name: String, _ text: String) {
    let clean = Redaction.text(text)
    files.append((name, clean.hasSuffix("\n") ? clean : clean + "\n"))
  }

  /// Says in the report that something is not in it.
  public mutating func miss(_ what: String, _ why: String) {
    missing.append(Redaction.text("\(what): \(why)"))
  }

  /// Adds what a daemon says for bug reports; `name` is what it is called.
  public mutating func add(_ diagnostics: DiagnosticsReport, of name: String) {
    add("configuration-\(name).yaml", diagnostics.configuration)
    let lines = diagnostics.log.map { "\($0.time) \($0.level): \($0.text)" }
    add("log-\(name).txt", lines.isEmpty ? "nothing was logged" : lines.joined(separator: "\n"))
  }

  /// Adds how many leases there are of each kind; whose they are is not needed.
  public mutating func add(_ leases: LeasesReport, of name: String) {
    let kinds = Dictionary(grouping: leases.leases) { $0.kind.rawValue }.sorted { $0.key < $1.key }
    let lines = kinds.map { "\($0.key)  \($0.value.count), \($0.value.count { $0.online }) online" }
    add("leases-\(name).txt", (["all  \(leases.leases.count)"] + lines).joined(separator: "\n"))
  }

  /// The archive, all in a directory of that name; with a README that says what is in it.
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
