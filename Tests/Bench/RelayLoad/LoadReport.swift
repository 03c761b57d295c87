/// What was measured, as `relay-load` prints it. Microseconds and CPU seconds are those of whole processes, all
/// threads.
struct LoadReport: Encodable {
  var devices: Int
  var payloadBytes: Int
  var joiningSeconds: Double
  var relay: Memory
  /// In each round, at a rate at which nothing should have to wait.
  var paced: [Traffic]
  /// As much as goes through of questions and answers.
  var full: [Traffic]
  /// The same of frames that nobody answers: what the relay has to do is several times what this program has to.
  var scattered: [Traffic]

  /// The relay's memory that no file stands behind, in bytes, buffers of the kernel not counted.
  struct Memory: Encodable {
    var before: Int
    /// With all devices joined and nothing to do.
    var idle: Int
    /// After the traffic.
    var after: Int
    /// What an idle session takes.
    var aSession: Double
    /// CPU seconds a second with nothing to do.
    var idleShare: Double
  }

  struct Traffic: Encodable {
    var sent: Int
    /// Sent, and not arrived.
    var dropped: Int
    var framesASecond: Double
    var bitsASecond: Double
    /// From the call that sent a frame to the one that took it in.
    var p50Microseconds: Double
    var p99Microseconds: Double
    /// CPU time a frame that arrived, in microseconds, and CPU seconds a second.
    var generatorMicroseconds: Double
    var generatorShare: Double
    var relayMicroseconds: Double
    var relayUserMicroseconds: Double
    var relayShare: Double
  }
}
