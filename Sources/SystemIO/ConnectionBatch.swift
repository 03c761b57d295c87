/// How a server on the main thread takes the connections that wait at its socket.
public enum ConnectionBatch {
  /// So many are taken before everything else on the thread has its turn. It is at most half of what a server keeps, so
  /// that a new connection keeps its place until what came with it has been read.
  public static let size = 16
  /// How long the rest waits where all connections that there are need their places.
  public static let pauseForRoom = Duration.milliseconds(20)
}
