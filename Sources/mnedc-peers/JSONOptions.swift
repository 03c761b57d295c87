import ArgumentParser

/// An option of all commands, so that it may stand before or after their names.
struct JSONOptions: ParsableArguments {
  @Flag(help: "Print JSON; for --watch and ping, an object a line.")
  var json = false
}
