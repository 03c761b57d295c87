import ArgumentParser

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists the devices; the default command.",
    discussion: "Any user may ask.")

  @OptionGroup var options: ListOptions

  func run() throws {
    try options.run()
  }
}
