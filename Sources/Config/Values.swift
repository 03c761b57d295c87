public import Wire

// The kinds of values: name, rule, and how the text is read.

extension ValueKind where Value == ServerAddress {
  /// The address of a relay for its devices.
  public static var server: ValueKind {
    let rule = #"a host with or without a port, such as relay.example, 192.0.2.1:3334 or "[2001:db8::1]:3334""#
    return ValueKind("a server address", rule) { address($0, port: .port, mayBeName: true) }
  }

  /// An address that a relay listens on.
  public static var listen: ValueKind {
    let rule = #"a numeric address with or without a port, such as "[::]:3334" or 192.0.2.1:3334"#
    return ValueKind("a listen address", rule) { address($0, port: .listenPort, mayBeName: false) }
  }

  private static func address(_ text: String, port: ValueKind<UInt16>, mayBeName: Bool) -> Reading {
    if ServerAddress.isIPv6(text) {
      return .refused(
        "needs brackets, which tell the address from the port: \"[\(text)]:\(ServerAddress.defaultPort)\"")
    }
    guard let parts = ServerAddress.split(text) else { return .malformed }
    let isHost =
      parts.hasBrackets
      ? ServerAddress.isIPv6(parts.host)
      : IPv4Address(parts.host) != nil || mayBeName && ServerAddress.isName(parts.host)
    guard isHost else { return .malformed }
    guard let portText = parts.port else { return .value(ServerAddress(host: parts.host)) }
    return address(at: parts.host, portText, port)
  }

  private static func address(at host: String, _ port: String, _ kind: ValueKind<UInt16>) -> Reading {
    do throws(ValueError) {
      return .value(ServerAddress(host: host, port: try kind.parse(port)))
    } catch {
      return .refused("has a bad port: \(error.message)")
    }
  }

  /// An address at which a daemon serves metrics.
  public static var metricsListen: ValueKind {
    let rule = #"a port, or a numeric address with a port, such as 9834, 192.0.2.1:9834 or "[::1]:9834""#
    return ValueKind("a listen address", rule) { text in
      if text.isWholeNumber { return address(at: "127.0.0.1", text, .listenPort) }
      if ServerAddress.isIPv6(text) {
        return .refused("needs brackets and a port: \"[\(text)]:9834\"")
      }
      guard let parts = ServerAddress.split(text), isNumeric(parts) else { return .malformed }
      guard let port = parts.port else { return .refused("needs a port: \"\(text):9834\"") }
      return address(at: parts.host, port, .listenPort)
    }
  }

  private static func isNumeric(_ parts: ServerAddress.Parts) -> Bool {
    parts.hasBrackets ? ServerAddress.isIPv6(parts.host) : IPv4Address(parts.host) != nil
  }
}

extension ValueKind where Value == UInt16 {
  public static var port: ValueKind { wholeNumber("a port", in: 1...65535) }
  static var listenPort: ValueKind { wholeNumber("a port", in: 0...65535) }
}

extension ValueKind where Value == String {
  /// The reference implementation's `server-ip`: a host without a port, which another key gives.
  static var host: ValueKind {
    ValueKind("a host", "an IP address or a name, its port in the key port") { text in
      let parts = ServerAddress.split(text)
      if let parts, parts.hasBrackets, parts.port == nil, ServerAddress.isIPv6(parts.host) { return .value(parts.host) }
      let isHost = IPv4Address(text) != nil || ServerAddress.isIPv6(text) || ServerAddress.isName(text)
      return isHost ? .value(text) : .malformed
    }
  }

  public static var deviceID: ValueKind {
    let rule = "1 to 63 letters, digits, dots, hyphens and underscores that begin and end with a letter or digit"
    return ValueKind("a device ID", rule) { DeviceID.isValid($0) ? .value($0) : .malformed }
  }

  /// The names that the kernel accepts (`dev_valid_name`), restricted to visible ASCII.
  public static var interface: ValueKind {
    let rule = #"1 to 15 visible ASCII characters other than "/", ":" and "%""#
    return ValueKind("an interface name", rule) { text in
      let isValid =
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
        && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !$0.isOne(of: "/:%") }
      return isValid ? .value(text) : .malformed
    }
  }

  /// A path that fits into `sun_path` with its final zero.
  public static var socketPath: ValueKind {
    ValueKind("a socket's path", "an absolute path of at most 107 bytes") { text in
      guard text.utf8.first == UInt8(ascii: "/"), text.utf8.last != UInt8(ascii: "/") else { return .malformed }
      guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return .malformed }
      let count = text.utf8.count
      return count <= 107
        ? .value(text) : .refused("is \(count) bytes long; expected an absolute path of at most 107 bytes")
    }
  }

  /// A state directory.
  public static var directory: ValueKind {
    ValueKind("a directory", "an absolute path of at most 1000 bytes, without a slash at its end") { path($0) }
  }

  /// A program that a daemon runs.
  static var program: ValueKind {
    ValueKind("a program", "an absolute path of at most 1000 bytes, or a list of it and its arguments") { path($0) }
  }

  /// An argument of that program.
  static var argument: ValueKind {
    ValueKind("an argument", "at most 4096 bytes, without a zero byte") { text in
      text.utf8.count <= 4096 && !text.utf8.contains(0) ? .value(text) : .malformed
    }
  }

  private static func path(_ text: String) -> Reading {
    let isPath =
      text.utf8.first == UInt8(ascii: "/") && text.utf8.last != UInt8(ascii: "/") && text.utf8.count <= 1000
      && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    return isPath ? .value(text) : .malformed
  }
}

// MARK: Keys

extension ValueKind where Value == [UInt8] {
  /// A relay's public key, 32 bytes.
  public static var relayKey: ValueKind { key("the key of a relay", .relay) }
  /// A device's public key, 32 bytes.
  public static var deviceKey: ValueKind { key("the key of a device", .device) }

  private static func key(_ name: String, _ kind: KeyText) -> ValueKind {
    let rule = "\(kind.prefix) and 43 letters, digits, hyphens and underscores"
    return ValueKind(name, rule, write: kind.text) { text in
      do throws(KeyTextError) {
        return .value(try kind.parse(text))
      } catch {
        let reason = "\(error); expected \(rule)"
        return error == .otherKind(.privateKey) ? .withheld(reason) : .refused(reason)
      }
    }
  }
}

// MARK: Choices

extension ValueKind where Value == Settings.CongestionControl {
  public static var congestionControl: ValueKind { choice("a congestion control") }
}

extension ValueKind where Value == AdmissionMode {
  public static var admission: ValueKind { choice("a way to admit devices") }
}

extension ValueKind where Value == Settings.User {
  /// A name that useradd(8) accepts.
  public static var user: ValueKind {
    let rule = "auto or a user's name, 1 to 32 letters, digits, dots, hyphens and underscores"
    let write: @Sendable (Value) -> String = { if case .named(let name) = $0 { name } else { "auto" } }
    return ValueKind("a user", rule, write: write) { text in
      if text == "auto" { return .value(.auto) }
      let isName =
        (1...32).contains(text.utf8.count) && !text.isWholeNumber && text.utf8.first != UInt8(ascii: "-")
        && text.utf8.allSatisfy { $0.isAlphanumeric || $0.isOne(of: ".-_") }
      return isName ? .value(.named(text)) : .malformed
    }
  }
}

extension ValueKind where Value == Settings.LogLevel {
  public static var logLevel: ValueKind { choice("a log level") }
}

extension ValueKind where Value == Settings.Offload {
  public static var offload: ValueKind { choice("an offload setting") }
}

extension ValueKind where Value == Settings.HostsFile {
  /// The file for the block of names, or none.
  public static var hostsFile: ValueKind {
    let file = ValueKind<String>.directory
    let write: @Sendable (Value) -> String = {
      switch $0 {
      case .auto: "auto"
      case .off: "off"
      case .path(let path): path
      }
    }
    return ValueKind(
      "a hosts file", "auto, off or an absolute path of at most 1000 bytes, as /etc/hosts", write: write
    ) { text in
      switch text {
      case "auto": .value(.auto)
      case "off": .value(.off)
      default: (try? file.parse(text)).map { .value(.path($0)) } ?? .malformed
      }
    }
  }
}

extension ValueKind where Value == Settings.Threads {
  public static var threads: ValueKind {
    let number = ValueKind<Int>.wholeNumber("a number", in: 1...64)
    let write: @Sendable (Value) -> String = { if case .count(let count) = $0 { "\(count)" } else { "auto" } }
    return ValueKind("a number of threads", "auto or \(number.rule)", write: write) { text in
      guard text != "auto" else { return .value(.auto) }
      guard text.isWholeNumber else { return .malformed }
      return (try? number.parse(text)).map { .value(.count($0)) } ?? .outOfRange
    }
  }
}

extension ValueKind where Value == Bool {
  public static var boolean: ValueKind {
    ValueKind("a boolean", "true or false") { text in
      yamlBoolean(text).map { .value($0) } ?? .malformed
    }
  }
}

extension ValueKind where Value == Int {
  public static var mtu: ValueKind { wholeNumber("an MTU", in: 576...65535) }
  /// The number of devices that may join by an invite.
  public static var inviteUses: ValueKind { wholeNumber("a number of devices", in: 1...10_000) }
}

extension ValueKind where Value == Duration {
  /// The time limit of the first join.
  public static var joinTimeout: ValueKind { duration(.seconds(1) ... .seconds(3600)) }
  /// The time that a tool waits for its daemon.
  public static var answerTimeout: ValueKind { duration(.milliseconds(100) ... .seconds(3600)) }
  /// The time limit of a drain.
  public static var drainTime: ValueKind { duration(.milliseconds(100) ... .seconds(3600)) }
  /// The time until an invite expires.
  public static var inviteLifetime: ValueKind { duration(.seconds(1) ... .seconds(365 * 24 * 3600)) }
}

extension ValueKind where Value == IPv4Address {
  /// The virtual address of a device.
  public static var virtualAddress: ValueKind {
    ValueKind("an IPv4 address", "four numbers from 0 to 255, such as 10.0.0.7") { text in
      guard let address = IPv4Address(text) else { return .malformed }
      return address.specialUse.map { .refused("is \($0); a device needs an address of its own") } ?? .value(address)
    }
  }
}

extension ValueKind where Value == Settings.Pool {
  /// The network of virtual addresses.
  public static var pool: ValueKind {
    let rule = "auto or a network of length /8 to /30, such as 10.0.0.0/24"
    let write: @Sendable (Value) -> String = { if case .prefix(let prefix) = $0 { "\(prefix)" } else { "auto" } }
    return ValueKind("an IPv4 network", rule, write: write) { text in
      if text == "auto" { return .value(.auto) }
      let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { String($0) }
      guard parts.count == 2, let address = IPv4Address(parts[0]), parts[1].isWholeNumber else { return .malformed }
      guard let length = Int(parts[1]), (8...30).contains(length) else { return .outOfRange }
      let prefix = IPv4Prefix(address, length: length)
      if prefix.network != address { return .refused("has bits set behind the prefix; the network is \(prefix)") }
      if let use = prefix.network.specialUse ?? prefix.broadcast.specialUse {
        return .refused("is \(use); devices need addresses of their own, such as 10.0.0.0/24")
      }
      return .value(.prefix(prefix))
    }
  }
}

extension ValueKind where Value == Pool6Choice {
  /// The IPv6 prefix of the network.
  public static var pool6: ValueKind {
    let rule = "auto, off or a network of length /96 within fd00::/8, such as fd12:3456:789a:1::/96"
    let write: @Sendable (Value) -> String = { value in
      switch value {
      case .auto: "auto"
      case .off: "off"
      case .prefix(let prefix): "\(prefix)"
      }
    }
    return ValueKind("an IPv6 network", rule, write: write) { text in
      switch text {
      case "auto": return .value(.auto)
      case "off": return .value(.off)
      default:
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { String($0) }
        guard parts.count == 2, let address = IPv6Address(parts[0]), parts[1].isWholeNumber else { return .malformed }
        guard parts[1] == "96" else { return .outOfRange }
        let prefix = IPv6Prefix(address, length: 96)
        if prefix.network != address { return .refused("has bits set behind the prefix; the network is \(prefix)") }
        return prefix.isPool ? .value(.prefix(prefix)) : .outOfRange
      }
    }
  }
}
