public import CommandLine
public import Config
public import Device
public import Identity
public import Noise
public import Wire

/// Who this device is: its keys and the ID that it goes by, as its state directory has them.
public struct DeviceIdentity: Sendable {
  public let key: PrivateKey
  /// The key that is about to take the place of `key`, if a change or a reset was interrupted.
  public let nextKey: PrivateKey?
  /// Whether `nextKey` is of a reset: the relay knows it if it has admitted this device with it, and else must not hear
  /// of it.
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

  /// Makes a key if there is none. The ID is the `configured` one; or the one that this key joined with the last time, since a
  /// relay knows the key by it; or, at the first start, one derived from the machine. `warn` gets a line for the log.
  ///
  /// `isReset`: the device gets another key and forgets its ID, but not before a relay has admitted it: until
  /// `remember`, a start without `isReset` finds what was there.
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

  /// `nil` if none was kept, or none that can be used.
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

  /// Undoes a reset that no relay has admitted this device for.
  public func giveUpReset() throws(StateError) {
    if replacesKey { try KeyFile.deviceReset(in: directory).removeNext() }
  }

  /// Removes what a killed process has left of its reset, to be called once the relay has admitted this device with
  /// `key`.
  public func dropInterruptedReset() throws(StateError) {
    if isNextOfReset { try KeyFile.deviceReset(in: directory).removeNext() }
  }

  /// Completes a reset, to be called once a relay has admitted this device with the new key.
  public func completeReset() throws(StateError) {
    if replacesKey || isNextOfReset { try KeyFile.deviceReset(in: directory).promoteNext() }
    try KnownRelays(in: directory).removeAll()
  }

  /// The relay has let this device in: it stays the same when the host is renamed.
  public func remember() throws(StateError) {
    let content = Array("\(deviceID)\n".utf8)
    try directory.update(Self.fileName, limit: 256, .trusted) { former in former == content ? nil : content }
  }
}

extension PeerSettings {
  /// With what the configuration says of ciphers and peers.
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
