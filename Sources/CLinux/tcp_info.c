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

int clinux_tcp_path(int fd, uint32_t *segment, uint32_t *path, uint32_t *round_trip) {
  struct tcp_info info = {0};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return -errno;
  *segment = info.tcpi_snd_mss;
  *path = info.tcpi_pmtu;
  *round_trip = info.tcpi_rtt;
  return 0;
}
