// How addresses stand in JSON: as the text that people know.

extension IPv4Address: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decodeText(decoder, "an IPv4 address")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension IPv4Prefix: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decodeText(decoder, "an IPv4 prefix")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension IPv6Prefix: Codable {
  public init(from decoder: any Decoder) throws {
    self = try decodeText(decoder, "an IPv6 prefix")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

private func decodeText<Value: LosslessStringConvertible>(_ decoder: any Decoder, _ what: String) throws -> Value {
  let container = try decoder.singleValueContainer()
  let text = try container.decode(String.self)
  guard let value = Value(text) else {
    throw DecodingError.dataCorruptedError(in: container, debugDescription: "not \(what)")
  }
  return value
}
