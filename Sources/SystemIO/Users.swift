internal import Glibc

/// The user that this process acts as.
public func currentUser() -> UInt32 {
  geteuid()
}

/// This process's number.
public func currentProcess() -> Int {
  Int(getpid())
}
