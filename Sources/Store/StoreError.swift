public import SystemPackage

/// Why a store cannot be opened, or why an operation changed nothing.
public enum StoreError: Error, Equatable, CustomStringConvertible {
  // Of opening.
  case noDirectory(String)
  /// This file, or a new one in its directory, cannot be read and written.
  case noAccess(String, Errno)
  /// Another process, or this one, has the store open.
  case inUse(String, process: Int?)
  /// The database of another program.
  case notOurs(String)
  /// Written by a newer version of this program.
  case newerSchema(String, found: Int, known: Int)

  // Of opening and of operations.
  case damaged(String, detail: String)
  case diskFull(String)
  case failed(String, detail: String)

  // Of operations.
  /// Too many operations wait. Tell the device to come again later.
  case busy
  /// The store is closed, or about to be.
  case closed
  /// A value that the store does not accept, such as a key of another length.
  case badValue(String)
  case noSuchDevice
  case noSuchInvite(String)
  case admission(AdmissionProblem)
  case invite(InviteProblem)

  /// Whether the cause is the file, not the operation.
  public var isOfFile: Bool {
    switch self {
    case .diskFull, .failed, .damaged, .noAccess: true
    default: false
    }
  }

  public var description: String {
    switch self {
    case .noDirectory(let path):
      "there is no directory \(path); make it (mode 0700), owned by the user that the relay runs as"
    case .noAccess(let path, let error):
      "\(path): \(error); let the user that the relay runs as read and write it and its directory"
    case .inUse(let path, let process):
      "\(path) is in use by another relay\(process.map { " (process \($0))" } ?? ""); stop that one, or choose another"
        + " state directory"
    case .notOurs(let path):
      "\(path) is the database of another program; choose another state directory, or move the file away"
    case .newerSchema(let path, let found, let known):
      "\(path) has version \(found) of the schema, and this relay knows \(known) at most; run the newer relay, or "
        + "restore a copy from before the upgrade"
    case .damaged(let path, let detail):
      "\(path) is damaged (\(detail)); restore a copy, or move it away (with its -wal and -shm files) to begin with an"
        + " empty one, in which no device is admitted"
    case .diskFull(let path):
      "\(path) cannot grow, since its disk is full, or it has reached 1 GiB, its limit; make room"
    case .failed(let path, let detail):
      "\(path): \(detail)"
    case .busy:
      "too much waits for the relay's disk; try again later"
    case .closed:
      "the relay is about to end; try again later"
    case .badValue(let detail):
      "the value cannot be stored: \(detail)"
    case .noSuchDevice:
      "there is no such device; see `mnedc-ctl devices`"
    case .noSuchInvite(let id):
      "there is no invite \(id); see `mnedc-ctl invites`"
    case .admission(let problem):
      problem.description
    case .invite(let problem):
      problem.description
    }
  }
}
