import ArgumentParser
import CommandLine
import SystemIO

/// Asks on a terminal before a command locks devices out. Without a terminal, as in a script, it does not ask.
struct ConfirmOptions: ParsableArguments {
  @Flag(help: "Do not ask first; without a terminal, nothing is asked in any case.")
  var yes = false

  /// Whether a person is there to answer, and has not answered yet.
  var isAsking: Bool { !yes && Terminal.isOne(.input) && Terminal.isOne(.error) }

  /// Says what is about to happen, and throws unless the person agrees.
  func confirm(_ consequence: String) throws {
    guard isAsking else { return }
    do {
      try Terminal.write("\(consequence)\nGo on? [y/N] ", to: .error)
    } catch {
      throw Failure(.ioError, "cannot ask on the terminal: \(error); give --yes")
    }
    let answer = Terminal.readLine()?.lowercased()
    if answer == "y" || answer == "yes" { return }
    // The end of the input leaves the cursor behind the question.
    if answer == nil { printError("") }
    throw Failure(.noAnswer, "nothing was done, as the answer was not yes")
  }
}

extension ConfirmOptions {
  /// Some of the names, and how many more there are.
  static func some(of names: [String]) -> String {
    let shown = names.prefix(8).joined(separator: ", ")
    return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
  }
}
