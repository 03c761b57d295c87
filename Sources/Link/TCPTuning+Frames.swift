public import SystemIO

extension TCPTuning {
  /// For connections that carry frames. What the kernel may hold unsent is a beginning, which `PathTuning` adapts; a
  /// connection whose data nobody acknowledges is given up before an application would; `FrameConnection.check` adapts that too.
  public static let frames = TCPTuning(unsentLimit: 128 << 10, userTimeout: .seconds(10))
}
