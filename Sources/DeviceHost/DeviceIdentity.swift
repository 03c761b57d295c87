public import CommandLine
public import Config
public import Device
public import Identity
public import Noise
internal import SystemIO
public import Wire

/// The device's keys and ID, from its state directory.
public struct DeviceIdentity: Sendable {
  public let key: PrivateKey
  /// The key that will replace `key`, if a rotation or a reset was interrupted.
  public let nextKey: PrivateKey?
  /// Whether `nextKey` is the key of a reset. The relay knows it if it has admitted this device with it; otherwise the
  /// device must not show it.
  public let isNextOfReset: Bool
  public let deviceID: String
  /// Whether a relay has admitted this device as `deviceID` before.
  public let hasJoined: Bool
  /// Whether `deviceID` comes from the machine's name and identity alone.
  public let isOfMachine: Bool
  /// The ID that this device joined with before its key was lost; `nil` if no key was lost.
  public let lostID: String?
  private let directory: StateDirectory
  /// Whether `key` takes the place of the key in the state directory once a relay has admitted this device.
  private let replacesKey: Bool

  private static let fileName = "device-id"

  /// Makes a key if there is none. The device ID is the `configured` one, else the ID with which this key joined last,
  /// since the relay knows the key by it, else an ID derived from the machine. `warn` gets a line for the log.
  ///
  /// `isReset`: the device gets another key and forgets its ID when a relay has admitted it. Until `remember`, a start
  /// without `isReset` finds the former key and ID.
  public init(
    in directory: StateDirectory, configured: String?, isReset: Bool = false, warn: (String) -> Void
  ) throws(Failure) {
    self.directory = directory
    let (file, reset) = (KeyFile.device(in: directory), KeyFile.deviceReset(in: directory))
    let remembered: String?
    do throws(StateError) {
      let hadKey = try file.load() != nil
      replacesKey = isReset && hadKey
      if replacesKey { try file.removeNext() }
      let make = { PrivateKey().bytes }
      let bytes = try replacesKey ? reset.loadOrCreateNext(make) : file.loadOrCreate(make)
      guard let key = PrivateKey(bytes) else { preconditionFailure("any 32 bytes are a key") }
      self.key = key
      let rotated = replacesKey ? nil : try file.loadNext()
      let interrupted = replacesKey || rotated != nil ? nil : try reset.loadNext()
      nextKey = (rotated ?? interrupted).flatMap { PrivateKey($0) }
      isNextOfReset = interrupted != nil
      let former = isReset ? nil : Self.remembered(in: directory, warn)
      remembered = hadKey ? former : nil
      lostID = hadKey ? nil : former
    } catch {
      throw Failure(error)
    }
    isOfMachine = configured == nil && remembered == nil
    if let deviceID = configured ?? remembered {
      self.deviceID = deviceID
    } else {
      deviceID = try MachineIdentity.deviceID()
    }
    hasJoined = remembered == deviceID
  }

  /// `nil` if the file has no valid ID.
  private static func remembered(in directory: StateDirectory, _ warn: (String) -> Void) -> String? {
    do throws(StateError) {
      guard let content = try directory.read(fileName, limit: 256, .trusted) else { return nil }
      let text = String(decoding: content.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
      guard DeviceID.isValid(text) else {
        throw StateError(.damaged, "\(directory.file(fileName)) holds no device ID")
      }
      return text
    } catch {
      let consequence = "this device goes by device-id of the configuration, or by its default ID"
      warn(
        error.isOfContent
          ? directory.setAside(fileName, because: error, consequence) : "\(error.finding); \(consequence)")
      return nil
    }
  }

  /// Undoes a reset if no relay has admitted this device with the new key.
  public func giveUpReset() throws(StateError) {
    if replacesKey { try KeyFile.deviceReset(in: directory).removeNext() }
  }

  /// Removes the files of a reset that a killed process has left. To be called when the relay has admitted this device
  /// with `key`.
  public func dropInterruptedReset() throws(StateError) {
    if isNextOfReset { try KeyFile.deviceReset(in: directory).removeNext() }
  }

  /// Completes a reset. To be called when a relay has admitted this device with the new key.
  public func completeReset() throws(StateError) {
    if replacesKey || isNextOfReset { try KeyFile.deviceReset(in: directory).promoteNext() }
    try KnownRelays(in: directory).removeAll()
  }

  /// Stores the ID that the relay has admitted, so that it stays if the host is renamed.
  public func remember() throws(StateError) {
    let content = Array("\(deviceID)\n".utf8)
    try directory.update(Self.fileName, limit: 256, .trusted) { former in former == content ? nil : content }
  }
}

extension PeerSettings {
  /// Takes ciphers and pinned keys from the configuration.
  public init(key: PrivateKey, _ settings: Settings.Join) {
    let ciphers: CipherList =
      switch settings.cipher {
      case .auto: .available
      case .aes256GCM: CipherList([.aes256GCM])
      case .chaCha20Poly1305: CipherList([.chaCha20Poly1305])
      }
    self.init(key: key, ciphers: ciphers, pinnedKeys: Self.pinnedKeys(settings))
  }

  public static func pinnedKeys(_ settings: Settings.Join) -> [String: PublicKey] {
    settings.peerKeys.compactMapValues { PublicKey($0) }
  }
}

/// The default device ID.
public enum MachineIdentity {
  /// The host's name and eight hexadecimal digits derived from the machine ID (`kitchen-3fa1c09b`): different on two
  /// machines of the same name, and the same after a restart. The digits do not disclose the machine ID.
  public static func deviceID() throws(Failure) -> String {
    let bytes = (try? readFile("/etc/machine-id", limit: 64)) ?? []
    let digits = bytes.prefix { $0 != UInt8(ascii: "\n") }
    guard digits.count == 32 else {
      throw Failure(
        .configuration, "this machine has no identity in /etc/machine-id; write `device-id: NAME` to the configuration")
    }
    let name = hostName().flatMap(DeviceID.sanitized) ?? "device"
    let host = name.split(separator: ".").first.map(String.init) ?? name
    return "\(host.prefix(DeviceID.maximumLength - 9))-\(hexadecimal(fold(digits)))"
  }

  /// FNV-1a over the machine ID and a constant, folded to 32 bits: enough to distinguish machines, and no protection of
  /// a secret.
  private static func fold(_ identity: some Sequence<UInt8>) -> UInt32 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in Array("mnedc device ".utf8) + Array(identity) {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    return UInt32(truncatingIfNeeded: hash ^ hash >> 32)
  }

  private static func hexadecimal(_ number: UInt32) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
