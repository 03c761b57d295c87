internal import SystemIO
internal import SystemPackage

/// Why a program cannot go on: one line for a person (more for a configuration with several mistakes), and how it ends.
public struct Failure: Error, Sendable {
  public let status: ExitStatus
  /// What failed, why, and what to do, without the program's name.
  public let message: String

  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }
}

/// Writes what a program was asked for on standard output, with an end of line unless it has one.
public func printOut(_ text: String) throws(Failure) {
  do {
    try writeOut(text)
  } catch {
    throw Failure(.ioError, "cannot write the output: \(error)")
  }
}
