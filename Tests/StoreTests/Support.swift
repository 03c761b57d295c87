import Glibc
import SystemIO
import TestSupport
import Testing
import Wire

@testable import Store

extension NetworkStore {
  /// Runs an operation and waits for its value.
  @discardableResult
  func run<Value: Sendable>(_ operation: @escaping StoreOperation<Value>) throws(StoreError) -> Value {
    try performAndWait(operation)
  }

  /// Commits the changes that an operation returns.
  func change(
    _ operation: @escaping @Sendable (any NetworkRecords) throws(StoreError) -> [RecordChange]
  ) throws(StoreError) {
    try performAndWait { records throws(StoreError) in ((), try operation(records)) }
  }

  func read<Value: Sendable>(
    _ operation: @escaping @Sendable (any NetworkRecords) throws(StoreError) -> Value
  ) throws(StoreError) -> Value {
    try readAndWait(operation)
  }

  /// Admits a device, whoever it is.
  func admit(_ number: Int) throws(StoreError) {
    try run { records throws(StoreError) in
      try records.admit(key: bytes(number), id: "device-\(number)", by: .open, at: 1)
    }
  }

  /// Keeps the store's thread busy until the returned closure is called, so that what is posted meanwhile is one batch.
  func hold() -> @Sendable () -> Void {
    let gate = Gate()
    perform({ _ in (gate.wait(), []) }, then: { _ in })
    // It must have been taken, or it would be in one batch with what follows.
    _ = TestSupport.wait { self.statistics.waiting == 0 }
    return { gate.open() }
  }
}

extension SQLiteStore {
  /// Runs a statement on the store's thread.
  func rows<Value: Sendable>(
    _ sql: String, read: @escaping @Sendable (borrowing SQLiteRow) -> Value
  ) throws(StoreError) -> [Value] {
    try self.read { records throws(StoreError) in
      guard let records = records as? SQLiteRecords else { return [] }
      return try records.connection.rows(sql, read: read)
    }
  }

  func integer(_ sql: String) throws(StoreError) -> Int64? { try rows(sql) { $0.integer(0) }.first }
}

extension NetworkRecords {
  func device(id: String) throws(StoreError) -> DeviceRecord? { try devices(id: id).first }
}

/// Every implementation of `NetworkStore` passes the same tests.
enum StoreKind: String, CaseIterable, CustomTestStringConvertible {
  case memory, sqlite

  var testDescription: String { rawValue }
}

/// A store of one kind, with the operations that several tests need.
final class StoreFixture: Sendable {
  private let directory: Directory
  let store: any NetworkStore

  private final class Directory: Sendable {
    let place = TemporaryDirectory()
  }

  init(_ kind: StoreKind) throws {
    directory = Directory()
    store =
      switch kind {
      case .memory: MemoryStore()
      case .sqlite: try SQLiteStore(directory: directory.place.path)
      }
  }

  deinit { store.close() }

  @discardableResult
  func run<Value: Sendable>(_ operation: @escaping StoreOperation<Value>) throws(StoreError) -> Value {
    try store.run(operation)
  }

  func change(
    _ operation: @escaping @Sendable (any NetworkRecords) throws(StoreError) -> [RecordChange]
  ) throws(StoreError) {
    try store.change(operation)
  }

  func read<Value: Sendable>(
    _ operation: @escaping @Sendable (any NetworkRecords) throws(StoreError) -> Value
  ) throws(StoreError) -> Value {
    try store.read(operation)
  }

  // MARK: Devices

  struct Admitted: Equatable {
    let device: DeviceRecord
    let isNew: Bool
  }

  @discardableResult
  func admit(
    _ key: Int, _ id: String, by method: DeviceRecord.AdmissionMethod = .approved, at time: Int64 = 100
  ) throws(StoreError) -> Admitted {
    try run { records throws(StoreError) in
      let (device, changes) = try records.admit(key: bytes(key), id: id, by: method, at: time)
      return (Admitted(device: device, isNew: !changes.isEmpty), changes)
    }
  }

  func match(_ key: Int) throws -> DeviceMatch? {
    try read { records throws(StoreError) in try records.device(key: bytes(key)) }
  }

  func device(_ id: String) throws -> DeviceRecord? {
    try read { records throws(StoreError) in try records.device(id: id) }
  }

  func devices() throws -> [DeviceRecord] { try read { records throws(StoreError) in try records.devices() } }

  func setNextKey(_ next: Int?, of key: Int) throws {
    try change { records throws(StoreError) in try records.setNextKey(next.map(bytes), ofKey: bytes(key)) }
  }

  @discardableResult
  func promote(_ next: Int) throws -> DeviceRecord {
    try run { records throws(StoreError) in try records.promoteNextKey(bytes(next)) }
  }

  @discardableResult
  func revoke(_ id: String) throws -> DeviceRecord {
    try run { records throws(StoreError) in
      guard let device = try records.device(id: id) else { throw .noSuchDevice }
      return try records.revoke(key: device.key)
    }
  }

  @discardableResult
  func forget(_ id: String) throws -> [DeviceRecord] {
    try run { records throws(StoreError) in try records.forget(id: id) }
  }

  // MARK: Invites

  @discardableResult
  func create(
    _ token: Int, uses: Int = 1, expiresAt: Int64 = 1000, deviceID: String? = nil, at now: Int64 = 100
  ) throws -> InviteRecord {
    try run { records throws(StoreError) in
      try records.createInvite(
        tokenHash: bytes(token), uses: uses, expiresAt: expiresAt, deviceID: deviceID, at: now)
    }
  }

  @discardableResult
  func redeem(_ token: Int, for id: String = "a", at now: Int64 = 200) throws -> InviteRecord {
    try run { records throws(StoreError) in
      let invite = try records.redeem(bytes(token), forDevice: id, at: now)
      return (invite, [.putInvite(invite)])
    }
  }

  @discardableResult
  func admit(_ key: Int, _ id: String, token: Int, at now: Int64 = 200) throws(StoreError) -> Admitted {
    try run { records throws(StoreError) in
      let (device, changes) = try records.admit(key: bytes(key), id: id, redeeming: bytes(token), at: now)
      return (Admitted(device: device, isNew: !changes.isEmpty), changes)
    }
  }

  @discardableResult
  func revokeInvite(_ id: String, at now: Int64 = 200) throws -> InviteRecord {
    try run { records throws(StoreError) in try records.revokeInvite(id: id, at: now) }
  }

  func undo(_ key: Int, _ id: String) throws {
    try change { records throws(StoreError) in try records.undoAdmission(key: bytes(key), id: id) }
  }

  func invites() throws -> [InviteRecord] { try read { records throws(StoreError) in try records.invites() } }

  // MARK: Leases

  static let pool = LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 24))

  /// Gives an address to a known device.
  func lease(_ address: IPv4Address, to key: Int, at time: Int64) throws {
    try change { records throws(StoreError) in
      guard let device = try records.device(key: bytes(key))?.device else { throw .noSuchDevice }
      return RecordChange.moveLease(of: device, from: try records.lease(ofKey: device.key), to: address, at: time)
    }
  }

  /// Admits a device and gives it an address.
  func give(_ address: IPv4Address, to key: Int, at time: Int64 = 100) throws {
    try admit(key, "device-\(key)", by: .open, at: time)
    try lease(address, to: key, at: time)
  }

  func leases() throws -> [LeaseRecord] { try read { records throws(StoreError) in try records.leases() } }

  /// Gives the lowest free address to a device, and returns it.
  func takeFree(for key: Int, in pool: LeasePool = pool) throws -> IPv4Address? {
    try admit(key, "device-\(key)", by: .open, at: 1)
    guard let free = try read({ records throws(StoreError) in try records.freeAddress(in: pool) }) else { return nil }
    try lease(free, to: key, at: 1)
    return free
  }

  func drop(_ address: IPv4Address) throws { try change { _ in [.removeLease(address)] } }
}

/// Holds a thread up.
final class Gate: Sendable {
  private let signals = Mailbox<Void>()

  func open() { signals.put(()) }
  func wait() { _ = signals.waitFor(1) }
}

/// A key or a hash of its own for each number.
func bytes(_ number: Int) -> [UInt8] {
  withUnsafeBytes(of: UInt64(number).bigEndian) { Array(repeating: 7, count: 24) + $0 }
}

let day: Int64 = 24 * 3600

/// The permission bits of a file; `nil` if there is none.
func mode(of path: String) -> UInt32? {
  var status = stat()
  return lstat(path, &status) == 0 ? status.st_mode & 0o777 : nil
}

func read(_ path: String) throws -> [UInt8] { try readFile(path, limit: 1 << 24) }

func write(_ bytes: [UInt8], to path: String) {
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  precondition(file >= 0 && bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == bytes.count)
  close(file)
}

/// A `store-writer` at work.
func storeWriter(_ task: String, _ directory: borrowing TemporaryDirectory) -> OtherProgram {
  OtherProgram(named: "store-writer", [task, directory.path])
}
