import DeviceHost
import Identity
import Noise
import TestSupport
import Testing
import Wire

@Suite struct DeviceIdentityTests {
  private func identity(
    in directory: borrowing TemporaryDirectory, _ configured: String? = nil, isReset: Bool = false
  ) throws -> DeviceIdentity {
    try DeviceIdentity(in: StateDirectory(directory.path), configured: configured, isReset: isReset) { line in
      Issue.record("\(line)")
    }
  }

  @Test func `a device has joined before under the ID that it was remembered by, and no other`() throws {
    let directory = TemporaryDirectory()
    let first = try identity(in: directory, "cam-a")
    #expect(!first.hasJoined && !first.isOfMachine)
    try first.remember()
    #expect(try identity(in: directory).deviceID == "cam-a" && identity(in: directory).hasJoined)
    #expect(try !identity(in: directory, "cam-b").hasJoined)
  }

  @Test func `a reset holds once it is complete, and not before`() throws {
    let directory = TemporaryDirectory()
    let first = try identity(in: directory, "cam-a")
    try first.remember()
    let relays = KnownRelays(in: try StateDirectory(directory.path))
    _ = try relays.add("a:1", [UInt8](repeating: 1, count: 32))

    let abandoned = try identity(in: directory, "cam-b", isReset: true)
    #expect(abandoned.key.publicKey != first.key.publicKey && !abandoned.hasJoined && abandoned.nextKey == nil)
    try abandoned.giveUpReset()
    let same = try identity(in: directory)
    #expect(same.key.publicKey == first.key.publicKey && same.deviceID == "cam-a" && same.nextKey == nil)
    #expect(try relays.key(of: "a:1") != nil)

    let new = try identity(in: directory, "cam-b", isReset: true)
    try new.completeReset()
    try new.remember()
    let next = try identity(in: directory)
    #expect(next.key.publicKey == new.key.publicKey && next.deviceID == "cam-b" && next.nextKey == nil)
    #expect(try relays.key(of: "a:1") == nil)
  }

  @Test func `a reset that was killed leaves both keys for the next start to try`() throws {
    let directory = TemporaryDirectory()
    let first = try identity(in: directory, "cam-a")
    let killed = try identity(in: directory, "cam-a", isReset: true)
    let next = try identity(in: directory, "cam-a")
    #expect(next.key.publicKey == first.key.publicKey && next.nextKey?.publicKey == killed.key.publicKey)
    #expect(next.isNextOfReset)
    // The relay knew the first key, so the other one goes.
    try next.dropInterruptedReset()
    #expect(try identity(in: directory, "cam-a").nextKey == nil)
    // The relay had admitted the device with the new key already.
    let admitted = try identity(in: directory, "cam-a", isReset: true)
    try identity(in: directory, "cam-a").completeReset()
    let last = try identity(in: directory, "cam-a")
    #expect(last.key.publicKey == admitted.key.publicKey && last.nextKey == nil)
  }

  @Test func `a lost key is known by the ID that it leaves`() throws {
    let directory = TemporaryDirectory()
    let first = try identity(in: directory, "cam-a")
    #expect(first.lostID == nil)
    try first.remember()
    try StateDirectory(directory.path).remove("device.key")
    let next = try identity(in: directory, "cam-a")
    #expect(next.lostID == "cam-a" && !next.hasJoined)
  }

  @Test func `a reset of a device without a key is a first start`() throws {
    let directory = TemporaryDirectory()
    let first = try identity(in: directory, "cam-a", isReset: true)
    try first.completeReset()
    #expect(try identity(in: directory, "cam-a").key.publicKey == first.key.publicKey)
  }
}
