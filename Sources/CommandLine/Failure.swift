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
  try printOut { () throws(Errno) in try writeOut(text) }
}

/// The same of what is no text.
public func printOut(_ bytes: [UInt8]) throws(Failure) {
  try printOut { () throws(Errno) in try writeOut(bytes) }
}

private func printOut(_ write: () throws(Errno) -> Void) throws(Failure) {
  do {
    try write()
  } catch {
    throw Failure(.ioError, "cannot write the output: \(error)")
  }
}
