public import SystemPackage

/// Why a state directory or a file in it cannot be used: one line for a person that names it and says what to do. It
/// holds nothing of a file's content.
public struct StateError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Kind: Equatable, Sendable {
    /// Others can read or change what they must not, or it is not what it should be.
    case unsafe
    /// The content is not what was once written there.
    case damaged
    /// This user may not.
    case denied
    case system(Errno)
  }

  public let kind: Kind

  /// Whether the file itself is at fault, so that another in its place would do.
  public var isOfContent: Bool { kind == .damaged || kind == .unsafe }

  public let description: String

  /// What is wrong, without what to do about it, for a program that has no `--state`.
  public var finding: String {
    description.firstRange(of: "; ").map { String(description[..<$0.lowerBound]) } ?? description
  }

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// `what` goes on behind "cannot".
  init(_ what: String, _ error: Errno) {
    switch error {
    case .readOnlyFileSystem:
      self.init(
        .denied,
        "cannot \(what): \(error); have its file system mounted for writing, or name another directory with --state")
    case .permissionDenied, .notPermitted:
      self.init(.denied, "cannot \(what): \(error); run as root, or name a directory of your own with --state")
    case .noSuchFileOrDirectory:
      self.init(
        .system(error), "cannot \(what): the directory above it is missing; make it, or name another with --state")
    default:
      self.init(.system(error), "cannot \(what): \(error)")
    }
  }
}
