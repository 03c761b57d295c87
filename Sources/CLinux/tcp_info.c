// By itself: <linux/tcp.h> has the newer members of tcp_info, and does not go together with <netinet/tcp.h>.

#include "tcp_facts.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

int clinux_tcp_facts(int fd, struct clinux_tcp_facts *facts) {
  struct tcp_info info = {0};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return -errno;
  facts->delivery_rate = info.tcpi_delivery_rate;
  facts->may_be_faster = info.tcpi_delivery_rate_app_limited;
  facts->segment = info.tcpi_snd_mss;
  facts->path = info.tcpi_pmtu;
  facts->round_trip = info.tcpi_rtt;
  facts->variation = info.tcpi_rttvar;
  facts->timeouts = info.tcpi_retransmits;
  facts->acknowledged = info.tcpi_last_ack_recv;
  facts->out_of_order = info.tcpi_rcv_ooopack;
  return 0;
}
