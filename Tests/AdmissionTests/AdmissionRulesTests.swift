import Admission
import Noise
import Store
import Testing
import Wire

/// Decisions as values: records and a request go in, a decision with changes and effects comes out.
@Suite struct AdmissionRulesTests {
  private static let now: Int64 = 1_000_000
  private static let hour: Int64 = 3600

  private var records = MemoryRecords()

  private struct Devices: DevicePresence {
    var inUse: Set<String> = []
    var isContested = false

    func isInUse(_ lease: LeaseRecord) -> Bool { inUse.contains(lease.deviceID) }
    func isContested(_ request: AdmissionRequest) -> Bool { isContested }
    func holder(of address: IPv4Address) -> String? { nil }
  }

  private func key(_ deviceID: String) -> [UInt8] { sha256(Array(deviceID.utf8)) }
  private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 0x0A00_0000 + last) }

  private func request(
    _ deviceID: String, key name: String? = nil, address: IPv4Address? = nil, required: Bool = false,
    token: Token? = nil, isRelayHost: Bool = false
  ) throws -> AdmissionRequest {
    AdmissionRequest(
      JoinRequest(
        deviceID: deviceID, instance: "1", address: address, addressRequired: required, token: token,
        ciphers: CipherList([.chaCha20Poly1305])),
      key: try #require(PublicKey(key(name ?? deviceID))), host: "192.0.2.1", isRelayHost: isRelayHost)
  }

  private func rules(
    _ mode: AdmissionMode = .open, pool: String = "10.0.0.0/29", fixed: [String: IPv4Address] = [:],
    mayReclaim: Bool = true, mayTryToken: Bool = true, at time: Int64 = now, devices: Devices = Devices()
  ) throws -> AdmissionRules {
    let pool = LeasePool(try #require(IPv4Prefix(pool)), fixed: fixed)
    return AdmissionRules(
      mode,
      LeaseAllocator(pool, age: .seconds(Self.hour), mayReclaim: mayReclaim, at: time, presence: devices),
      mayTryToken: mayTryToken)
  }

  /// Decides and commits the changes.
  @discardableResult
  private mutating func decide(
    _ request: AdmissionRequest, _ rules: AdmissionRules
  ) throws -> AdmissionOutcome<AdmissionDecision> {
    let outcome = try rules.decide(request, records)
    try records.apply(outcome.changes)
    return outcome
  }

  private mutating func invite(_ token: Token, uses: Int = 1) throws {
    try records.apply(
      records.createInvite(tokenHash: token.hash, uses: uses, expiresAt: Self.now + 60, at: Self.now).1)
  }

  private func token(_ number: UInt8) throws -> Token { try #require(Token([UInt8](repeating: number, count: 16))) }

  private func code(_ decision: AdmissionDecision) -> Refusal.Code? {
    if case .refused(let refusal) = decision { refusal.code } else { nil }
  }

  // MARK: Modes

  @Test
  mutating func `an open relay admits a new device with the lowest free address, and a known one without a change`()
    throws
  {
    let first = try decide(request("a"), rules())
    #expect(first.value == .admitted(address(2), isNew: true) && first.changes.count == 2 && first.effects.isEmpty)
    #expect(try decide(request("b"), rules()).value == .admitted(address(3), isNew: true))
    #expect(
      try decide(request("a"), rules(.invite)) == AdmissionOutcome(.admitted(address(2), isNew: false), [], []))
  }

  @Test mutating func `a decision that is made again without a commit is the same`() throws {
    let (request, rules) = (try request("a"), try rules())
    let first = try rules.decide(request, records)
    #expect(try rules.decide(request, records) == first)
    try records.apply(first.changes)
    #expect(try rules.decide(request, records).changes.isEmpty)
  }

  @Test mutating func `an invite is used with the admission it is for, and not when that fails`() throws {
    let token = try token(1)
    try invite(token)
    #expect(code(try decide(request("a"), rules(.invite)).value) == .inviteNeeded)
    // The only address is taken.
    try decide(request("other"), rules(pool: "10.0.0.0/30"))
    let refused = try decide(request("a", token: token), rules(.invite, pool: "10.0.0.0/30", mayReclaim: false))
    #expect(code(refused.value) == .poolFull && refused.changes.isEmpty)
    #expect(records.invites().map(\.usesLeft) == [1])
    #expect(try decide(request("a", token: token), rules(.invite)).value == .admitted(address(3), isNew: true))
    #expect(records.invites().map(\.usesLeft) == [0])
    #expect(code(try decide(request("b", token: token), rules(.invite)).value) == .inviteUsedUp)
    #expect(code(try decide(request("b", token: self.token(9)), rules(.invite)).value) == .inviteUnknown)
  }

  @Test mutating func `a host that guesses tokens is refused, and its known devices are not`() throws {
    let token = try token(1)
    try invite(token, uses: 2)
    try decide(request("a", token: token), rules(.invite))
    let blocked = try rules(.invite, mayTryToken: false)
    #expect(code(try decide(request("b", token: token), blocked).value) == .tooManyAttempts)
    #expect(try decide(request("a", token: token), blocked).value == .admitted(address(2), isNew: false))
  }

  @Test mutating func `approval is asked for a new device alone, and not for a device ID that is taken`() throws {
    #expect(try decide(request("a"), rules(.approve)) == AdmissionOutcome(.pending))
    try records.apply(records.admit(key: key("a"), id: "a", by: .approved, at: Self.now).1)
    #expect(try decide(request("a"), rules(.approve)).value == .admitted(address(2), isNew: false))
    #expect(code(try decide(request("A", key: "b"), rules(.approve)).value) == .deviceIDTaken)
  }

  @Test mutating func `the relay's own host needs no invite and has the relay's address`() throws {
    let host = try decide(request("host", isRelayHost: true), rules(.invite))
    #expect(host.value == .admitted(address(1), isNew: true))
    #expect(records.devices().map(\.admittedBy) == [.host] && records.leases().isEmpty)
  }

  @Test mutating func `a key is bound to its device ID, and a revoked one is refused`() throws {
    try decide(request("a"), rules())
    #expect(code(try decide(request("b", key: "a"), rules()).value) == .keyBound)
    #expect(code(try decide(request("a", key: "b"), rules()).value) == .deviceIDTaken)
    try records.apply(records.revoke(key: key("a")).1)
    #expect(code(try decide(request("a"), rules()).value) == .revoked)
    #expect(try decide(request("a", key: "b"), rules()).value == .admitted(address(2), isNew: true))
  }

  // MARK: Addresses

  @Test mutating func `a device that joins with its next key keeps its lease, and may move with it`() throws {
    try decide(request("a"), rules())
    try records.apply(records.setNextKey(key("next"), ofKey: key("a")))
    #expect(try decide(request("a", key: "next"), rules()).value == .admitted(address(2), isNew: false))
    #expect(records.leases().map(\.key) == [key("next")] && records.device(key: key("a")) == nil)

    try records.apply(records.setNextKey(key("third"), ofKey: key("next")))
    let moved = try decide(request("a", key: "third", address: address(5), required: true), rules())
    #expect(moved.value == .admitted(address(5), isNew: false))
    #expect(moved.effects == [.leaseMoved(deviceID: "a")])
    #expect(records.leases().map(\.address) == [address(5)] && records.leases().map(\.key) == [key("third")])
  }

  @Test mutating func `a device is not moved while its other session may be alive`() throws {
    try decide(request("a"), rules())
    let wish = try request("a", address: address(5), required: true)
    let stays = try decide(wish, rules(devices: Devices(isContested: true)))
    #expect(stays == AdmissionOutcome(.admitted(address(2), isNew: false)))
    #expect(try decide(wish, rules()).value == .admitted(address(5), isNew: false))
  }

  @Test mutating func `a full pool takes the longest unused lease of a device that is away`() throws {
    for (index, name) in ["a", "b", "c", "d", "e"].enumerated() {
      try decide(request(name), rules(at: Self.now + Int64(index)))
    }
    let later = Self.now + Self.hour
    #expect(code(try decide(request("f"), rules(at: later - 1)).value) == .poolFull)
    let paused = try decide(request("f"), rules(mayReclaim: false, at: later))
    #expect(code(paused.value) == .poolFull && paused.changes.isEmpty)

    let outcome = try decide(request("f"), rules(at: later + 1, devices: Devices(inUse: ["a"])))
    #expect(outcome.value == .admitted(address(3), isNew: true))
    guard case .leaseReclaimed(let lease, by: "f")? = outcome.effects.first else {
      Issue.record("\(outcome.effects)")
      return
    }
    #expect(lease.deviceID == "b" && records.lease(ofKey: key("b")) == nil)
    // The lease that is in use is not looked at again.
    #expect(records.lease(ofKey: key("a"))?.lastUsed == later + 1)
  }

  @Test mutating func `a fixed address is for its device alone`() throws {
    let rules = try rules(fixed: ["cam": address(2)])
    #expect(try decide(request("a"), rules).value == .admitted(address(3), isNew: true))
    #expect(code(try decide(request("b", address: address(2), required: true), rules).value) == .addressTaken)
    #expect(code(try decide(request("cam", address: address(4), required: true), rules).value) == .addressTaken)
    #expect(try decide(request("cam", address: address(4)), rules).value == .admitted(address(2), isNew: true))
  }

  // MARK: Operators

  @Test mutating func `a pin moves a device, and is removed from a connected device before its lease`() throws {
    try decide(request("a"), rules())
    let device = try #require(records.devices().first)
    let allocator = { (devices: Devices) in
      LeaseAllocator(
        LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 29)), age: .zero, mayReclaim: true, at: Self.now,
        presence: devices)
    }
    let pinned = try allocator(Devices()).pin(device, to: address(6), records)
    try records.apply(pinned.changes)
    #expect(pinned.effects == [.leaseMoved(deviceID: "a")])
    #expect(records.leases().map(\.address) == [address(6)] && records.leases().map(\.isPinned) == [true])

    let unpinned = allocator(Devices(inUse: ["a"])).free(records.leases()[0])
    try records.apply(unpinned.changes)
    #expect(unpinned.effects.isEmpty && records.leases().map(\.isPinned) == [false])
    #expect(allocator(Devices(inUse: ["a"])).free(records.leases()[0]).value == .failure(.inUse("a", address(6))))
    let freed = allocator(Devices()).free(records.leases()[0])
    try records.apply(freed.changes)
    #expect(freed.effects == [.leaseMoved(deviceID: "a")] && records.leases().isEmpty)
  }

  @Test mutating func `an admission is undone unless the device has connected again`() throws {
    let token = try token(1)
    try invite(token)
    let request = try request("a", token: token)
    try decide(request, rules(.invite))
    func undo(_ devices: Devices) throws -> AdmissionOutcome<Void> {
      try LeaseAllocator(
        LeasePool(IPv4Prefix(IPv4Address(bits: 0x0A00_0000), length: 29)), age: .zero, mayReclaim: true, at: Self.now,
        presence: devices
      ).undoAdmission(of: request, records)
    }
    #expect(try undo(Devices(inUse: ["a"])).changes.isEmpty)
    try records.apply(undo(Devices()).changes)
    #expect(records.devices().isEmpty && records.leases().isEmpty && records.invites().map(\.usesLeft) == [1])
  }
}
