internal import Wire

// Orchestration information. `Orchestration` has the rules.

extension ValueKind where Value == String {
  static var hostName: ValueKind {
    let rule = "names with dots between them, 253 bytes at most, such as cam.lan"
    return ValueKind("a host's name", rule) { Orchestration.isHostName($0) ? .value($0) : .malformed }
  }

  static var platform: ValueKind {
    let rule =
      "1 to \(Orchestration.maximumPlatform) visible ASCII characters without a space, such as linux/arm64 or docker"
    return ValueKind("a platform", rule) { Orchestration.isPlatform($0) ? .value($0) : .malformed }
  }

  static var executionType: ValueKind { word("an execution type") }
  public static var serviceName: ValueKind { word("a service's name") }
  public static var serviceVersion: ValueKind { words("a version") }
  public static var serviceProtocol: ValueKind { word("a protocol") }
  public static var labelName: ValueKind { word("a label's name") }
  public static var labelValue: ValueKind { words("a label's value") }

  private static func word(_ name: String) -> ValueKind {
    ValueKind(name, deviceID.rule) { Orchestration.isName($0) ? .value($0) : .malformed }
  }

  private static func words(_ name: String) -> ValueKind {
    ValueKind(name, "1 to \(Orchestration.maximumText) bytes of visible text") { text in
      Orchestration.isText(text) ? .value(text) : .malformed
    }
  }
}

extension ValueKind where Value == Orchestration.Health {
  static var health: ValueKind { choice("a state of health") }
}

extension ValueKind where Value == Double {
  /// The load of a device.
  public static var load: ValueKind {
    let range = Orchestration.loadRange
    let rule = "a number from \(Int(range.lowerBound)) to \(Int(range.upperBound)), such as 0.25"
    return ValueKind("a load", rule) { text in
      let isNumber = text.utf8.count <= 32 && text.utf8.allSatisfy { $0.isDigit || $0.isOne(of: ".") }
      guard isNumber, text.utf8.first?.isDigit == true, let value = Double(text) else { return .malformed }
      return range.contains(value) ? .value(value) : .outOfRange
    }
  }
}
