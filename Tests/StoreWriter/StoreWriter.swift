import Glibc
import Store
import Synchronization
import SystemIO

/// What the store's tests do in a process of its own, to kill it or to take something away from it: `store-writer TASK
/// DIRECTORY`. Each line on standard output says one thing that is certain.
@main struct StoreWriter {
  static func main() throws {
    let directory = CommandLine.arguments[2]
    switch CommandLine.arguments[1] {
    case "open": try writeOut(outcome(of: directory))
    case "open-as-nobody":
      // Root may write everywhere.
      if getuid() == 0 { precondition(setgid(65534) == 0 && setuid(65534) == 0) }
      try writeOut(outcome(of: directory))
    case "admit": try admitForever(SQLiteStore(directory: directory))
    case "fail": try failAndGoOn(SQLiteStore(directory: directory))
    default: fatalError("no such task")
    }
  }

  /// How opening goes.
  private static func outcome(of directory: String) -> String {
    do throws(StoreError) {
      _ = try SQLiteStore(directory: directory)
      return "opened"
    } catch {
      return error.description
    }
  }

  /// Admits device after device, several at a time, and says the ID of each once told that it is in.
  private static func admitForever(_ store: SQLiteStore) {
    let start = Instant.now().nanoseconds
    let number = Atomic<UInt64>(start)
    @Sendable func admitNext() {
      let next = number.wrappingAdd(1, ordering: .relaxed).newValue
      let id = "device-\(next)"
      store.perform { db throws(StoreError) in
        try db.admit(key: key(next), id: id, by: .open, at: 1)
      } then: { result in
        guard case .success = result else { fatalError("\(result)") }
        try? writeOut(id)
        admitNext()
      }
    }
    for _ in 0..<16 { admitNext() }
    while true { sleep(for: .seconds(1)) }
  }

  /// Admits a device, fails to commit a thousand for want of room, and admits another one when there is room again.
  private static func failAndGoOn(_ store: SQLiteStore) throws {
    let results = Mutex<[String]>([])
    @Sendable func admit(_ number: UInt64) {
      store.perform { db throws(StoreError) in
        try db.admit(key: key(number), id: "device-\(number)", by: .open, at: 1)
      } then: { result in
        switch result {
        case .success: results.withLock { $0.append("device-\(number)") }
        case .failure(.failed), .failure(.diskFull): results.withLock { $0.append("failed") }
        case .failure(let error): results.withLock { $0.append(error.description) }
        }
      }
    }
    func waitFor(_ count: Int) -> [String] {
      while results.withLock({ $0.count < count }) { sleep(for: .milliseconds(1)) }
      return results.withLock { $0 }
    }
    admit(1)
    precondition(waitFor(1) == ["device-1"])
    // A file that may not grow fails as a full disk does, and the signal that comes along is not wanted.
    signal(SIGXFSZ, SIG_IGN)
    limitFiles(to: 64 << 10)
    // They form one transaction, since they all come once the thread is busy and before it goes on.
    let areAllPosted = Atomic(false)
    store.read { _ in
      while !areAllPosted.load(ordering: .acquiring) { sleep(for: .milliseconds(1)) }
    } then: { _ in
    }
    while store.statistics.waiting > 0 { sleep(for: .milliseconds(1)) }
    for number in 1001...2000 { admit(UInt64(number)) }
    areAllPosted.store(true, ordering: .releasing)
    precondition(waitFor(1001).count == 1001)
    limitFiles(to: .max)
    admit(2)
    for result in waitFor(1002) { try writeOut(result) }
    store.close()
  }

  private static func limitFiles(to size: rlim_t) {
    var limit = rlimit(rlim_cur: size, rlim_max: .max)
    precondition(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
  }

  private static func key(_ number: UInt64) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array(repeating: 0, count: 24) + $0 }
  }
}
