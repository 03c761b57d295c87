import ArgumentParser
import CommandLine
import SystemIO

/// Asks on a terminal before a command locks devices out. Without a terminal, as in a script, it does not ask.
struct ConfirmOptions: ParsableArguments {
  @Flag(help: "Do not ask first; without a terminal, nothing is asked in any case.")
  var yes = false

  /// Whether there is a terminal, and --yes was not given.
  var isAsking: Bool { !yes && Terminal.isOne(.input) && Terminal.isOne(.error) }

  /// Shows the consequence, and throws unless the operator agrees.
  func confirm(_ consequence: String) throws {
    guard isAsking else { return }
    do {
      try Terminal.write("\(consequence)\nGo on? [y/N] ", to: .error)
    } catch {
      throw Failure(.ioError, "cannot ask on the terminal: \(error); give --yes")
    }
    let answer = Terminal.readLine()?.lowercased()
    if answer == "y" || answer == "yes" { return }
    // At the end of the input the cursor is still on the question's line.
    if answer == nil { printError("") }
    throw Failure(.noAnswer, "nothing was done, because the answer was not yes")
  }
}

extension ConfirmOptions {
  /// The first names, and the number of the others.
  static func some(of names: [String]) -> String {
    let shown = names.prefix(8).joined(separator: ", ")
    return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
  }
}
