import SystemIO
import TestSupport
import Testing

@Suite struct ResolverTests {
  private func resolve(_ host: String, port: UInt16 = 3334) throws -> Resolver.Answer? {
    let thread = try LoopThread()
    defer { thread.stop() }
    let answers = Mailbox<Resolver.Answer>()
    Resolver().resolve(host, port: port, on: thread.loop) { answer in
      precondition(thread.loop.isCurrent)
      answers.put(answer)
    }
    return answers.waitFor(1).first
  }

  @Test(arguments: ["192.0.2.7", "2001:db8::7"])
  func `a numeric address is its own answer`(host: String) throws {
    let addresses = try #require(try resolve(host)).get()
    #expect(addresses.map(\.host) == [host])
    #expect(addresses.map(\.port) == [3334])
  }

  @Test func `localhost is the loopback`() throws {
    let addresses = try #require(try resolve("localhost", port: 99)).get()
    #expect(!addresses.isEmpty)
    for address in addresses {
      #expect(address.host == "::1" || address.host.hasPrefix("127."))
      #expect(address.port == 99)
    }
  }

  @Test(arguments: ["no-such-name.invalid", "", "a name with spaces", "..", "x\u{0}y"])
  func `a name without an address is a failure with a reason`(host: String) throws {
    let error = #expect(throws: ResolveError.self) { try #require(try resolve(host)).get() }
    #expect(error?.description.isEmpty == false)
  }

  @Test func `names asked for at once each get their own answer`() throws {
    let thread = try LoopThread()
    defer { thread.stop() }
    let resolver = Resolver()
    let answers = Mailbox<(asked: String, port: UInt16?)>()
    for port: UInt16 in 1...5 {
      for host in ["localhost", "no-such-name.invalid"] {
        resolver.resolve(host, port: port, on: thread.loop) { answer in
          answers.put(("\(host) \(port)", try? answer.get().first?.port))
        }
      }
    }
    let items = answers.waitFor(10)
    #expect(items.count == 10)
    for item in items {
      #expect(item.port.map { "localhost \($0)" } ?? "" == (item.port == nil ? "" : item.asked))
      #expect(item.asked.hasPrefix("localhost") == (item.port != nil))
    }
  }

  @Test func `one name asked for by many is answered to all`() throws {
    let thread = try LoopThread()
    defer { thread.stop() }
    let resolver = Resolver()
    let answers = Mailbox<Int>()
    for number in 0..<20 {
      resolver.resolve("localhost", port: 1, on: thread.loop) { _ in answers.put(number) }
    }
    #expect(answers.waitFor(20).sorted() == Array(0..<20))
  }
}
