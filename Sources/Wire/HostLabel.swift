/// A device ID as a label of the domain name system (RFC 1123, section 2.1).
public enum HostLabel {
  /// The domain of all device names.
  public static let domain = "mnedc"

  /// The domain of the device names in one of several networks of a host, by what the host calls it: `shop.mnedc`.
  public static func domain(of network: String?) -> String { network.map { "\($0).\(domain)" } ?? domain }

  /// The label of a valid device ID: its letters in lower case, and `-` for each `.` and `_`. Two IDs that differ in nothing
  /// else have one label, so that they cannot be in one network.
  public static func label(of deviceID: String) -> String {
    String(
      decoding: deviceID.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case UInt8(ascii: "."), UInt8(ascii: "_"): UInt8(ascii: "-")
        default: byte
        }
      }, as: UTF8.self)
  }

  /// Whether a text can be the label of a device ID.
  public static func isValid(_ label: String) -> Bool {
    DeviceID.isValid(label) && self.label(of: label) == label
  }
}
