public import SystemIO

extension TCPTuning {
  /// For connections that carry frames. What the kernel holds unsent cannot be reordered or dropped any more, so it holds
  /// little; a connection whose data nobody acknowledges is given up before an application would.
  public static let frames = TCPTuning(unsentLimit: 128 << 10, userTimeout: .seconds(10))
}
