/// How the programs end, after sysexits.h; the man pages list the same.
public enum ExitStatus: Int32, Sendable {
  case success = 0
  /// No answer to any of the pings, as with ping(8).
  case noAnswer = 1
  /// The command line is wrong.
  case usage = 64
  /// A file cannot be read.
  case noInput = 66
  /// The relay, or the daemon asked, cannot be reached or says no.
  case unavailable = 69
  /// Something that should not happen.
  case software = 70
  /// The system lacks something: descriptors, memory, the TUN driver.
  case systemError = 71
  /// A socket, an interface or an address cannot be had, because another has it.
  case cannotCreate = 73
  /// What was asked for cannot be written.
  case ioError = 74
  /// It took too long, or what was in the way passes by itself.
  case temporaryFailure = 75
  /// The user may not do this.
  case noPermission = 77
  /// The configuration is wrong.
  case configuration = 78
  /// A daemon that was told to restart: its service manager starts it again. The number is that of ERESTART.
  case restart = 85
}
