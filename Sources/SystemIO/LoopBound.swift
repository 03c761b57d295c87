/// A value that belongs to a loop's thread, on its way through a closure that comes back there.
public struct LoopBound<Value>: @unchecked Sendable {
  // `@unchecked`: it is made and used on the one thread; only the closure that holds it travels.
  public let value: Value

  public init(_ value: Value) {
    self.value = value
  }
}
