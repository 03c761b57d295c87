/// The name of a network that this host joins beside others (`mnedc-join --name`). Configuration, interface, socket and
/// state directory contain it, so that the networks do not share them.
public struct NetworkName: Equatable, Sendable, CustomStringConvertible {
  /// With `mnedc-` before it, the longest interface name that the kernel accepts.
  public static let maximumLength = 9
  /// The names of the daemons' files and of the configuration without a network's name.
  static let taken = ["relay", "device", "mnedc"]

  public let description: String

  /// `nil` unless the name is 1 to 9 lower-case letters, digits and hyphens, begins and ends with a letter or digit,
  /// and is not taken.
  public init?(_ text: String) {
    let isPlain = { (byte: UInt8) in
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
    guard (1...Self.maximumLength).contains(text.utf8.count), !Self.taken.contains(text),
      text.utf8.allSatisfy({ isPlain($0) || $0 == UInt8(ascii: "-") }), text.utf8.first.map(isPlain) == true,
      text.utf8.last.map(isPlain) == true
    else { return nil }
    description = text
  }

  public var configuration: String { "/etc/mnedc/\(self).yaml" }
  public var interface: String { "mnedc-\(self)" }
  public var socket: String { "/run/mnedc/mnedc-join@\(self).sock" }
  /// Not in the state directory of the device without a name, which has other rules for its content.
  public var state: String { "/var/lib/mnedc-join@\(self)" }
}

extension ValueKind where Value == NetworkName {
  public static var network: ValueKind {
    let rule =
      "1 to \(NetworkName.maximumLength) lower-case letters, digits and hyphens that begin and end with a letter or "
      + "digit"
    return ValueKind("a network's name", rule) { text in
      if let name = NetworkName(text) { return .value(name) }
      guard NetworkName.taken.contains(text) else { return .malformed }
      return .refused("means something else already; choose another name for the network")
    }
  }
}

extension Settings {
  /// The defaults for the network of that name.
  public init(in network: NetworkName?) {
    self.init()
    guard let network else { return }
    join.interface = network.interface
    join.socket = network.socket
    join.state = network.state
  }
}
