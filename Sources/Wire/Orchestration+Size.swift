internal import FoundationEssentials

extension Orchestration {
  /// Of its JSON as it is sent, in bytes. Its load must be a number that JSON has.
  public var size: Int {
    guard let data = try? ControlMessage.encoder.encode(self) else {
      preconditionFailure("all but a load without a value is valid JSON")
    }
    return data.count
  }

  /// Its size once the device has added the most that it may by itself: its ID, a revision, its host's name, a load, and
  /// where it sits.
  public var largestSize: Int {
    let address = "0000:0000:0000:0000:0000:0000:255.255.255.255"
    var whole = self
    whole.deviceID = String(repeating: "x", count: DeviceID.maximumLength)
    whole.revision = Self.revisions.upperBound
    whole.hostName = hostName ?? String(repeating: "x", count: 253)
    whole.load = 1000.0 / 3
    whole.place = Place(
      outer: address, local: address, hops: [String](repeating: address, count: Self.maximumHops))
    return whole.size
  }

  /// What keeps a device from telling this of itself, for people; `nil` if nothing does.
  public var obstacle: String? {
    if let problem { return problem }
    let size = largestSize
    return size <= Self.maximumSize
      ? nil : "it is up to \(size) bytes of JSON, of which there may be \(Self.maximumSize)"
  }
}
