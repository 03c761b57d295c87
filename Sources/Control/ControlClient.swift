public import SystemIO
public import SystemPackage

/// Asks a daemon on this host.
public enum ControlClient {
  public enum Failure: Error, Sendable {
    /// No daemon listens at the path.
    case notRunning(Errno)
    case timeout
    /// The daemon ended the connection without an answer.
    case noAnswer
    /// The daemon answered with an error.
    case refused(ControlError)
    /// What came back is not an answer to this command.
    case badAnswer
  }

  /// Bytes of the longest answer that the client takes.
  static let maximumAnswer = 64 << 20

  /// The client asks a daemon with too many connections again after this time.
  private static let pause = Duration.milliseconds(50)

  /// Sends `command`, whose answer is a `Report`, and returns that. If the command ends the daemon, this waits for its
  /// end too, until `timeout`. Asks a daemon that has too many connections again within that time.
  public static func ask<Report: Codable>(
    _ command: ControlCommand, _: Report.Type = Report.self, at path: String, timeout: Duration
  ) throws(Failure) -> Report {
    try askAgain(command, Report.self, at: path, timeout: timeout).0
  }

  /// As `ask`, for an answer with an open file.
  public static func askForFile<Report: Codable>(
    _ command: ControlCommand, _: Report.Type = Report.self, at path: String, timeout: Duration
  ) throws(Failure) -> (report: Report, file: OpenFile) {
    let (report, file) = try askAgain(command, Report.self, at: path, timeout: timeout)
    guard let file else { throw .badAnswer }
    return (report, file)
  }

  private static func askAgain<Report: Codable>(
    _ command: ControlCommand, _: Report.Type, at path: String, timeout: Duration
  ) throws(Failure) -> (Report, OpenFile?) {
    let deadline = Instant.now().advanced(by: timeout)
    while true {
      do throws(Failure) {
        return try askOnce(command, Report.self, at: path, until: deadline)
      } catch {
        guard case .refused(.tooMany) = error, Instant.now().advanced(by: pause) < deadline else { throw error }
        sleep(for: pause)
      }
    }
  }

  private static func askOnce<Report: Codable>(
    _ command: ControlCommand, _: Report.Type, at path: String, until deadline: Instant
  ) throws(Failure) -> (Report, OpenFile?) {
    let socket = try connect(to: path, until: deadline)
    // Before the daemon can end.
    let end = command.endsDaemon ? end(ofDaemonAt: socket) : nil
    let answer: [UInt8]
    let file: OpenFile?
    do {
      try JSON.line(ControlRequest(command)).withUnsafeBytes { try send($0, to: socket, until: deadline) }
      (answer, file) = try readLine(from: socket, until: deadline)
    } catch let failure as Failure {
      throw failure
    } catch {
      throw .noAnswer
    }
    guard let response = JSON.decode(ControlResponse<Report>.self, answer) else { throw .badAnswer }
    if let error = response.error { throw .refused(error) }
    guard let result = response.result else { throw .badAnswer }
    switch end {
    case .some(let end): _ = try? end.wait(until: deadline)
    case nil: break
    }
    return (result, file)
  }

  /// `nil` if this process cannot see the daemon's, or the kernel is too old; then the client does not wait for its
  /// end.
  private static func end(ofDaemonAt socket: borrowing Descriptor) -> ProcessEnd? {
    guard let process = try? socket.peerCredentials().process, process > 0, process != currentProcess() else {
      return nil
    }
    return try? ProcessEnd(of: process)
  }

  /// Connects to the socket of root and the daemon's user, or, if this process may not, to the one for all users.
  static func connect(to path: String, until deadline: Instant) throws(Failure) -> Descriptor {
    do {
      return try .connected(toUnix: ControlServer.ownersPath(path), until: deadline)
    } catch {
      if error == .timedOut { throw .refused(.tooMany) }
    }
    do {
      return try .connected(toUnix: path, until: deadline)
    } catch {
      throw error == .timedOut ? .refused(.tooMany) : .notRunning(error)
    }
  }

  static func send(
    _ request: UnsafeRawBufferPointer, to socket: borrowing Descriptor, until deadline: Instant
  ) throws {
    var sent = 0
    while sent < request.count {
      do {
        if let count = try socket.send(UnsafeRawBufferPointer(rebasing: request[sent...])) {
          sent += count
          continue
        }
      } catch {
        return  // A daemon with too many connections answers without reading the request.
      }
      guard try socket.wait(for: .writable, until: deadline) else { throw Failure.timeout }
    }
  }

  private static func readLine(
    from socket: borrowing Descriptor, until deadline: Instant
  ) throws -> (line: [UInt8], file: OpenFile?) {
    let buffer = RawBuffer(count: 64 << 10)
    var line: [UInt8] = []
    var file: OpenFile?
    while true {
      guard try socket.wait(for: .readable, until: deadline) else { throw Failure.timeout }
      guard let (count, along) = try socket.receive(into: buffer.bytes) else { continue }
      if let along { file = along }
      if count == 0, line.isEmpty { throw Failure.noAnswer }
      guard count > 0, line.count < maximumAnswer else { throw Failure.badAnswer }
      line.append(contentsOf: buffer.bytes[..<count])
      if line.last == UInt8(ascii: "\n") { return (line.dropLast(), file) }
    }
  }
}
