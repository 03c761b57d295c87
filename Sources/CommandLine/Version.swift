/// The suite's version, the same for all its programs.
public let suiteVersion = "0.1.0"
