public import Wire

// One entry a kind of value: its name, what is right, and how its text is read.

extension ValueKind where Value == ServerAddress {
  /// Where a device finds the relay.
  public static var server: ValueKind {
    let rule = #"a host with or without a port, such as relay.example, 192.0.2.1:3334 or "[2001:db8::1]:3334""#
    return ValueKind("a server address", rule) { address($0, port: .port, mayBeName: true) }
  }

  /// Where a relay listens.
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
    do throws(ValueError) {
      return .value(ServerAddress(host: parts.host, port: try port.parse(portText)))
    } catch {
      return .refused("has a bad port: \(error.message)")
    }
  }
}

extension ValueKind where Value == UInt16 {
  public static var port: ValueKind { wholeNumber("a port", in: 1...65535) }
  static var listenPort: ValueKind { wholeNumber("a port", in: 0...65535) }
}

extension ValueKind where Value == String {
  /// The reference implementation's `server-ip`: a host that has its port in another key.
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

  /// What the kernel takes (`dev_valid_name`), kept to visible ASCII.
  public static var interface: ValueKind {
    let rule = #"1 to 15 visible ASCII characters other than "/", ":" and "%""#
    return ValueKind("an interface name", rule) { text in
      let isValid =
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
        && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !$0.isOne(of: "/:%") }
      return isValid ? .value(text) : .malformed
    }
  }

  /// What fits into `sun_path` with its final zero.
  public static var socketPath: ValueKind {
    ValueKind("a socket's path", "an absolute path of at most 107 bytes") { text in
      guard text.utf8.first == UInt8(ascii: "/"), text.utf8.last != UInt8(ascii: "/") else { return .malformed }
      guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return .malformed }
      let count = text.utf8.count
      return count <= 107
        ? .value(text) : .refused("is \(count) bytes long; expected an absolute path of at most 107 bytes")
    }
  }
}

extension ValueKind where Value == String {
  /// Where a daemon keeps what must outlive it.
  public static var directory: ValueKind {
    ValueKind("a directory", "an absolute path of at most 1000 bytes, without a slash at its end") { text in
      let isPath =
        text.utf8.first == UInt8(ascii: "/") && text.utf8.last != UInt8(ascii: "/") && text.utf8.count <= 1000
        && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
      return isPath ? .value(text) : .malformed
    }
  }
}

extension ValueKind where Value == String {
  /// What a daemon runs.
  static var program: ValueKind {
    ValueKind("a program", "an absolute path of at most 1000 bytes, or a list of it and its arguments") { text in
      let isPath =
        text.utf8.first == UInt8(ascii: "/") && text.utf8.last != UInt8(ascii: "/") && text.utf8.count <= 1000
        && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
      return isPath ? .value(text) : .malformed
    }
  }

  /// What it is given.
  static var argument: ValueKind {
    ValueKind("an argument", "at most 4096 bytes, without a zero byte") { text in
      text.utf8.count <= 4096 && !text.utf8.contains(0) ? .value(text) : .malformed
    }
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

extension ValueKind where Value == Settings.Cipher {
  public static var cipher: ValueKind { choice("a cipher") }
}

extension ValueKind where Value == Settings.CongestionControl {
  public static var congestionControl: ValueKind { choice("a congestion control") }
}

extension ValueKind where Value == AdmissionMode {
  public static var admission: ValueKind { choice("a way to admit devices") }
}

extension ValueKind where Value == Settings.User {
  /// A name as useradd(8) takes it.
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

extension ValueKind where Value == Settings.Names {
  public static var names: ValueKind { choice("a way to resolve names") }
}

extension ValueKind where Value == Settings.Direct {
  public static var direct: ValueKind { choice("a setting of direct paths") }
}

extension ValueKind where Value == UInt16 {
  /// A port, or 0.
  public static var directPort: ValueKind {
    ValueKind("a port", "a whole number from 0 to 65535") { text in
      guard text.isWholeNumber else { return .malformed }
      return UInt16(text).map { .value($0) } ?? .outOfRange
    }
  }
}

extension ValueKind where Value == Settings.HostsFile {
  /// A file that gets a block of names, or none.
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
  /// How many devices an invite lets in.
  public static var inviteUses: ValueKind { wholeNumber("a number of devices", in: 1...10_000) }
  /// Up to how many devices everybody is told of everybody.
  public static var peerList: ValueKind { wholeNumber("a number of devices", in: 0...5000) }
  /// The bound of a send queue, in bytes.
  public static var queue: ValueKind { size(from: 256 << 10, to: 64 << 20) }
  /// The bound of all send queues together, in bytes.
  public static var memory: ValueKind { size(from: 16 << 20, to: 64 << 30) }
}

extension ValueKind where Value == Duration {
  /// How long the first join may take.
  public static var joinTimeout: ValueKind { duration(from: .seconds(1), to: .seconds(3600)) }
  /// How long a tool waits for its daemon.
  public static var answerTimeout: ValueKind { duration(from: .milliseconds(100), to: .seconds(3600)) }
  /// How long a relay may take to end.
  public static var drainTime: ValueKind { duration(from: .milliseconds(100), to: .seconds(3600)) }
  /// How long an invite is good.
  public static var inviteLifetime: ValueKind { duration(from: .seconds(1), to: .seconds(365 * 24 * 3600)) }
  /// How long a device must have been away before its address is another's.
  public static var leaseAge: ValueKind { duration(from: .zero, to: .seconds(3650 * 86_400)) }
  public static var directMaxOffline: ValueKind { duration(from: .seconds(60), to: .seconds(365 * 86_400)) }
  public static var keepalive: ValueKind { duration(from: .milliseconds(500), to: .seconds(300)) }
  public static var idleKeepalive: ValueKind { duration(from: .milliseconds(500), to: .seconds(600)) }
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
  /// The virtual addresses a relay leases from.
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

extension ValueKind where Value == Settings.Pool6 {
  /// The IPv6 addresses that go with them.
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
