// Apart from CLinux.h, whose <netinet/tcp.h> does not go together with <linux/tcp.h>.

#ifndef CLINUX_TCP_FACTS_H
#define CLINUX_TCP_FACTS_H

#include <stdint.h>

/// What the kernel knows of a TCP connection (TCP_INFO). Zero where the kernel is too old to say.
struct clinux_tcp_facts {
  /// How many bytes a second the other end takes, as last measured.
  uint64_t delivery_rate;
  /// 1 if that may be more, because there was not always something to send.
  uint32_t may_be_faster;
  /// The largest segment that is sent, and the MTU of the path, in bytes.
  uint32_t segment;
  uint32_t path;
  /// The smoothed round trip and how much it varies, in microseconds.
  uint32_t round_trip;
  uint32_t variation;
  /// How often in a row the retransmission timer has run out for the oldest segment that is not acknowledged.
  uint32_t timeouts;
  /// How many milliseconds ago the last segment with an acknowledgment came, even if it acknowledged nothing new.
  uint32_t acknowledged;
  /// How many segments came after one that is missing (since Linux 5.4).
  uint32_t out_of_order;
};

int clinux_tcp_facts(int fd, struct clinux_tcp_facts *facts);

#endif
