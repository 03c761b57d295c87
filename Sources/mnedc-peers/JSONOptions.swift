import ArgumentParser

/// Of all commands, so that it may stand before and behind their names.
struct JSONOptions: ParsableArguments {
  @Flag(help: "Print JSON; for --watch and ping, an object a line.")
  var json = false
}
