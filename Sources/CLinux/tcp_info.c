// By itself: <linux/tcp.h> has the newer members of tcp_info, and does not go together with <netinet/tcp.h>.

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

int clinux_tcp_delivery_rate(int fd, uint64_t *bytes_per_second) {
  struct tcp_info info = {0};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return -errno;
  *bytes_per_second = info.tcpi_delivery_rate;
  return info.tcpi_delivery_rate_app_limited;
}
