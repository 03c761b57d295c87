internal import SystemIO
internal import SystemPackage

/// How the programs end, after sysexits.h; the man pages list the same.
public enum ExitStatus: Int32, Sendable {
  case success = 0
  /// No answer to any of the pings, as with ping(8).
  case noAnswer = 1
  /// The command line is wrong.
  case usage = 64
  /// A file cannot be read.
  case noInput = 66
  /// The relay or the daemon cannot be reached, or refuses.
  case unavailable = 69
  /// A mistake in the program.
  case software = 70
  /// The system lacks something: descriptors, memory, the TUN driver.
  case systemError = 71
  /// Another program has the socket, the interface or the address.
  case cannotCreate = 73
  /// The output cannot be written.
  case ioError = 74
  /// A timeout, or an obstacle that passes by itself.
  case temporaryFailure = 75
  /// The user may not do this.
  case noPermission = 77
  /// The configuration is wrong.
  case configuration = 78
  /// The daemon asks its service manager for a restart. The number is that of ERESTART.
  case restart = 85
}

/// Why a program ends: one line for a person (more for a configuration with several mistakes), and the exit status.
public struct Failure: Error, Sendable {
  public let status: ExitStatus
  /// What failed, why, and what to do, without the program's name.
  public let message: String

  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }
}

/// Writes to standard output, and ends the text with an end of line.
public func printOut(_ text: String) throws(Failure) {
  try printOut { () throws(Errno) in try writeOut(text) }
}

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
