public import ArgumentParser
internal import SystemIO

/// Runs a program: parses the command line, runs the command, and turns an error into one line on standard error and an
/// exit status.
public func runProgram<Command: ParsableCommand>(_ type: Command.Type) -> Never {
  ignoreBrokenPipes()
  endOnAbort()
  if let mistake = UsageMessage(help: CommandLine.arguments.dropFirst(), of: type) {
    fail(Command._commandName, Failure(.usage, mistake.description))
  }
  do {
    var command = try Command.parseAsRoot()
    try command.run()
    end(.success)
  } catch let failure as Failure {
    fail(Command._commandName, failure)
  } catch {
    let status = Command.exitCode(for: error)
    guard !status.isSuccess else {
      // Help and version are answers, not errors.
      do {
        try printOut(Command.fullMessage(for: error))
      } catch {
        fail(Command._commandName, error)
      }
      end(.success)
    }
    let what = UsageMessage(Command.message(for: error), Command.self, CommandLine.arguments.dropFirst())
    fail(Command._commandName, Failure(.usage, what.description))
  }
}

func fail(_ program: String, _ failure: Failure) -> Never {
  // A shell that asks for completions has no place for errors.
  if CommandLine.arguments.dropFirst().first == "---completion" { end(failure.status) }
  let lines = failure.message.split(separator: "\n").map { "\(program): \($0)" }.joined(separator: "\n")
  printError(lines)
  end(failure.status)
}

func end(_ status: ExitStatus) -> Never {
  endProcess(status.rawValue)
}

/// The suite's version, the same for all its programs.
public let suiteVersion = "0.1.0"
