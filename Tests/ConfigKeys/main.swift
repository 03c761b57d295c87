import Config

// Prints the keys of the configuration for the integration tests: a line each with the path, and whether a reload takes
// the key over.
for key in Settings.keys { print(key.path, key.isReloadable ? "reload" : "restart") }
