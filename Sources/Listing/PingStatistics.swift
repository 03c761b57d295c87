internal import CommandLine
public import Control

/// The results of several pings.
public struct PingStatistics: Sendable {
  public private(set) var sent = 0
  public private(set) var received = 0
  private var (least, most, sum) = (Double.infinity, 0.0, 0.0)

  public init() {}

  /// Adds one, with its round trip in milliseconds, or `nil` if it was not answered.
  public mutating func add(_ roundTrip: Double?) {
    sent += 1
    guard let roundTrip else { return }
    received += 1
    least = min(least, roundTrip)
    most = max(most, roundTrip)
    sum += roundTrip
  }

  public var text: String {
    let lost = sent == 0 ? 0 : Int((Double(sent - received) * 100 / Double(sent)).rounded())
    let line = "\(sent) sent, \(received) answered, \(lost) % lost"
    guard received > 0 else { return line }
    let times = [least, sum / Double(received), most].map { Table.milliseconds($0) }
    return line + "; round trip min \(times[0]), avg \(times[1]), max \(times[2])"
  }
}

extension PingReport {
  /// One line for people.
  public var line: String {
    // On the relay's own host the server is "this host", not an address.
    let relay = "by the \(path)" + (server.map { $0 == "this host" ? " on this host" : " \($0)" } ?? "")
    let way = remote.map { "directly by \(path) \($0)" } ?? relay
    guard let roundTripMs else { return "no answer from \(deviceId) (\(address)) \(way)".harmless }
    return "answer from \(deviceId) (\(address)): \(Table.milliseconds(roundTripMs)) \(way)".harmless
  }
}
