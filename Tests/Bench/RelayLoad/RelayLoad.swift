// A relay under load: holds many sessions on it, sends frames between random pairs of them, and prints as JSON what
// that cost the relay. For Tests/Bench/scale.py, which starts the relay.

import ArgumentParser
import Control
import SystemIO
import TestSupport
import Wire

@main
struct RelayLoad: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "relay-load", abstract: "Holds many sessions on a relay and measures what their traffic costs it.")

  @Option(help: "Where the relay listens, an IPv4 address of this host's loopback.")
  var relay = "127.0.0.1"

  @Option(help: "The relay's port.")
  var port: UInt16 = 3334

  @Option(help: "The relay's process ID.")
  var process: Int

  @Option(help: "How many devices join.")
  var devices = 100

  @Option(help: "Frames a second, at which nothing should have to wait, to measure latency at.")
  var rate = 10_000

  @Option(help: "Questions and answers under way at any time, to measure throughput at.")
  var window = 256

  @Option(help: "The same of frames that nobody answers: enough to keep all threads of the relay busy.")
  var scatteredWindow = 4096

  @Option(help: "Bytes of payload a frame.")
  var size = 1400

  @Option(help: "How long each measurement takes, in seconds.")
  var seconds = 3

  @Option(help: "How often traffic is measured.")
  var rounds = 3

  func validate() throws {
    guard devices >= 2, rate > 0, min(window, scatteredWindow) >= Shooter.maximumPeers, seconds > 0, rounds > 0,
      (Shooter.payloadSize...FrameType.data.maximumPayload).contains(size)
    else { throw ValidationError("a number is out of its range") }
  }

  func run() throws {
    raiseDescriptorLimit()
    let thread = try LoopThread(name: "relay-load")
    let load = Load(on: thread.loop)
    // The clients count on it as long as the loop runs.
    defer { withExtendedLifetime(load) { thread.stop() } }
    let own = try ProcessUse(currentProcess())
    let relay = try ProcessUse(process)
    let before = try relay.anonymousMemory()
    guard let address = SocketAddress(numeric: self.relay, port: port) else {
      throw ValidationError("\(self.relay) is not an address")
    }

    let began = Instant.now()
    thread.loop.post { load.join(devices, address) }
    try load.waitUntil { $0.isComplete }
    let joining = Instant.now().since(began)
    // The announcements of all these joins, and then the relay's next look at what it can give back.
    try load.waitUntil { Instant.now().since($0.lastNews) >= .seconds(1) }
    sleep(for: .seconds(2))
    let idle = try relay.anonymousMemory()
    let idleUse = try Measurement.take(relay, own) { sleep(for: .seconds(seconds)) }

    // Most sessions have spoken once it counts.
    load.begin(size)
    _ = load.pace(rate, for: .seconds(seconds), size: size)
    try load.settle()
    var (paced, full, scattered): ([LoadReport.Traffic], [LoadReport.Traffic], [LoadReport.Traffic]) = ([], [], [])
    for _ in 0..<rounds {
      paced.append(try measure(load, relay, own) { load.pace(rate, for: .seconds(seconds), size: size) })
      full.append(
        try measure(load, relay, own) { load.fill(window, with: .question, for: .seconds(seconds), size: size) })
      scattered.append(
        try measure(load, relay, own) { load.fill(scatteredWindow, with: .answer, for: .seconds(seconds), size: size) })
    }
    // Throws if a session has ended meanwhile.
    try load.waitUntil { $0.isComplete }

    let memory = LoadReport.Memory(
      before: before, idle: idle, after: try relay.anonymousMemory(), aSession: Double(idle - before) / Double(devices),
      idleShare: idleUse.relay.all / idleUse.seconds)
    try writeOut(
      JSON.pretty(
        LoadReport(
          devices: devices, payloadBytes: size, joiningSeconds: joining.seconds, relay: memory, paced: paced,
          full: full, scattered: scattered)))
  }

  /// Lets `shoot` send frames, waits for those under way, and says how it went.
  private func measure(
    _ load: Load, _ relay: ProcessUse, _ own: ProcessUse, _ shoot: () -> Int
  ) throws -> LoadReport.Traffic {
    load.begin(size)
    var questions = 0
    let use = try Measurement.take(relay, own) { questions = shoot() }
    // What has not arrived by then has been dropped.
    try load.settle()
    let (answers, received, latencies) = load.results()
    let sent = questions + answers
    let frames = Double(max(1, received))
    return LoadReport.Traffic(
      sent: sent, dropped: sent - received, framesASecond: frames / use.seconds,
      bitsASecond: frames * Double(size + FrameHeader.size) * 8 / use.seconds,
      p50Microseconds: percentile(latencies, 0.5), p99Microseconds: percentile(latencies, 0.99),
      generatorMicroseconds: use.own.all * 1e6 / frames, generatorShare: use.own.all / use.seconds,
      relayMicroseconds: use.relay.all * 1e6 / frames, relayUserMicroseconds: use.relay.user * 1e6 / frames,
      relayShare: use.relay.all / use.seconds)
  }

  /// In microseconds; `latencies` in nanoseconds, sorted.
  private func percentile(_ latencies: [UInt64], _ part: Double) -> Double {
    guard !latencies.isEmpty else { return 0 }
    return Double(latencies[min(latencies.count - 1, Int(Double(latencies.count) * part))]) / 1000
  }
}
