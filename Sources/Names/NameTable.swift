public import Wire

/// The addresses of names: of this device and of the peers that it knows.
public struct NameTable: Sendable {
  /// The most names: the peers that a device knows, and itself.
  public static let maximumNames = 16_385

  public struct Entry: Equatable, Sendable {
    public var label: String
    public var address: IPv4Address
  }

  private var labels: [String: IPv4Address] = [:]
  private var addresses: [IPv4Address: String] = [:]
  /// The devices whose label another device has, too.
  private var heirs: [String: Set<IPv4Address>] = [:]
  public private(set) var own: Entry?

  public init() {}

  /// This device's own name, which precedes those of peers.
  public mutating func setOwn(_ deviceID: String, _ address: IPv4Address) {
    if let own { remove(own.address) }
    remove(address)
    let entry = Entry(label: HostLabel.label(of: deviceID), address: address)
    if let other = labels[entry.label] { heirs[entry.label, default: []].insert(other) }
    labels[entry.label] = address
    addresses[address] = entry.label
    own = entry
  }

  /// Adds a peer. If another one has its label, it is found by address only, until that one has left.
  public mutating func add(_ deviceID: String, _ address: IPv4Address) {
    guard address != own?.address else { return }
    remove(address)
    guard addresses.count < Self.maximumNames else { return }
    let label = HostLabel.label(of: deviceID)
    addresses[address] = label
    if labels[label] == nil { labels[label] = address } else { heirs[label, default: []].insert(address) }
  }

  /// Removes the peer of this address.
  public mutating func remove(_ address: IPv4Address) {
    guard let label = addresses.removeValue(forKey: address) else { return }
    if labels[label] == address {
      labels[label] = heirs[label]?.popFirst()
    } else {
      heirs[label]?.remove(address)
    }
    if heirs[label]?.isEmpty == true { heirs[label] = nil }
  }

  public func address(of label: String) -> IPv4Address? { labels[label] }

  public func label(of address: IPv4Address) -> String? { addresses[address] }

  /// All names, by address.
  public var entries: [Entry] {
    labels.map { Entry(label: $0.key, address: $0.value) }.sorted { $0.address < $1.address }
  }
}
