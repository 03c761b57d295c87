import ArgumentParser

/// Of all commands, so that it may stand before and behind their names.
struct JSONOptions: ParsableArguments {
  @Flag(help: "Print JSON; of what goes on, an object a line.")
  var json = false
}
