public import DaemonKit
internal import Logging
public import Tun

extension Daemon {
  /// Logs that another network of this host has addresses of the device's network from now on, or (`nil`) that none has
  /// any more. From any thread.
  public func log(_ collision: NetworkCollision?) {
    guard let collision else {
      return logger.notice("no other network of this host has addresses of this device's network any more")
    }
    logger.warning(
      """
      \(collision): this host cannot reach devices whose addresses are in both; take the other network away, or have the \
      relay use another pool (relay.pool)
      """)
  }
}
