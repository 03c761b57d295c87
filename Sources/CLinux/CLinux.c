#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <link.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

// Needs <time.h> before it.
#include <linux/errqueue.h>

int clinux_tun_attach(int fd, const char *name, short flags) {
  struct ifreq request = {.ifr_flags = flags};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  return ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : 0;
}

int clinux_tun_set_offloads(int fd, unsigned int offloads) {
  return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) < 0 ? -errno : 0;
}

int clinux_tun_set_header(int fd) {
  int size = sizeof(struct virtio_net_hdr);
  int little_endian = 1;
  if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) return -errno;
  if (ioctl(fd, TUNSETVNETLE, &little_endian) < 0) return -errno;
  return 0;
}

int clinux_accept(int fd, struct sockaddr *address, socklen_t *length) {
  int result = accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return result < 0 ? -errno : result;
}

int clinux_peer_credentials(int fd, pid_t *process, uid_t *user, gid_t *group) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
  *process = credentials.pid;
  *user = credentials.uid;
  *group = credentials.gid;
  return 0;
}

int clinux_send_descriptor(int fd, const void *bytes, size_t count, int passed) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof passed)] = {0};
  struct iovec vector = {(void *)bytes, count};
  struct msghdr message = {
    .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof passed);
  memcpy(CMSG_DATA(part), &passed, sizeof passed);
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -errno : (int)sent;
}

int clinux_receive_descriptor(int fd, void *bytes, size_t count, int *received) {
  // Room for one descriptor: the kernel closes those that do not fit.
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof *received)];
  struct iovec vector = {bytes, count};
  struct msghdr message = {
    .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  *received = -1;
  ssize_t read = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (read < 0) return -errno;
  struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
      part->cmsg_len == CMSG_LEN(sizeof *received))
    memcpy(received, CMSG_DATA(part), sizeof *received);
  return (int)read;
}

int clinux_usable_cores(void) {
  cpu_set_t mask;
  return sched_getaffinity(0, sizeof mask, &mask) < 0 ? -errno : CPU_COUNT(&mask);
}

int clinux_undelivered(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? -errno : bytes;
}

int clinux_unsent(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQNSD, &bytes) < 0 ? -errno : bytes;
}

int clinux_name_thread(const char *name) {
  char short_name[16];
  strncpy(short_name, name, sizeof short_name - 1);
  short_name[sizeof short_name - 1] = 0;
  return -pthread_setname_np(pthread_self(), short_name);
}

void clinux_syslog(const char *program, int priority, const char *text) {
  openlog(program, LOG_PID, LOG_DAEMON);
  syslog(priority, "%s", text);
}

int clinux_read_error(int fd, struct sockaddr_storage *destination, struct sockaddr_storage *reporter) {
  char sent[64];
  _Alignas(struct cmsghdr) char control[512];
  struct iovec vector = {sent, sizeof sent};
  struct msghdr message = {.msg_name = destination, .msg_namelen = sizeof *destination, .msg_iov = &vector,
                           .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  memset(destination, 0, sizeof *destination);
  memset(reporter, 0, sizeof *reporter);
  if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return -errno;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    int is_v4 = part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR;
    int is_v6 = part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR;
    size_t address = is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if ((!is_v4 && !is_v6) || part->cmsg_len < CMSG_LEN(sizeof(struct sock_extended_err) + address)) continue;
    struct sock_extended_err error;
    memcpy(&error, CMSG_DATA(part), sizeof error);
    if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6) return 0;
    memcpy(reporter, CMSG_DATA(part) + sizeof error, address);
    return is_v6 ? error.ee_type == ICMPV6_TIME_EXCEED : error.ee_type == ICMP_TIME_EXCEEDED;
  }
  return 0;
}

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

// MARK: This process

int clinux_close_from(unsigned int first) {
  return close_range(first, ~0U, 0) < 0 ? -errno : 0;
}

int clinux_clock_is_kept(void) {
  struct timex state = {0};
  int result = adjtimex(&state);
  if (result < 0) return -errno;
  return !(state.status & STA_UNSYNC);
}

int clinux_terminal_size(int fd, uint16_t *columns, uint16_t *rows) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) < 0) return -errno;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}

// Whether the dynamic linker relocated code in place, so that its pages differ from the file. Compilers have not made
// such code for a long time.
static int is_relocated(const struct dl_phdr_info *object) {
  for (int i = 0; i < object->dlpi_phnum; i++) {
    if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++) {
      if (entry->d_tag == DT_TEXTREL) return 1;
      if (entry->d_tag == DT_FLAGS && entry->d_un.d_val & DF_TEXTREL) return 1;
    }
  }
  return 0;
}

// Releases only segments that are never written; data that becomes read-only later (RELRO) is in a writable one.
static int release_code(struct dl_phdr_info *object, size_t size, void *page_size) {
  (void)size;
  // The kernel's vDSO has no file.
  if (object->dlpi_addr == getauxval(AT_SYSINFO_EHDR) || is_relocated(object)) return 0;
  const ElfW(Addr) page = *(const ElfW(Addr) *)page_size;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
    const ElfW(Addr) start = object->dlpi_addr + segment->p_vaddr;
    const ElfW(Addr) first = start & ~(page - 1);
    // The kernel refuses this where memory is locked (mlockall).
    madvise((void *)first, start + segment->p_filesz - first, MADV_DONTNEED);
  }
  return 0;
}

void clinux_release_code(void) {
  ElfW(Addr) page = (ElfW(Addr))sysconf(_SC_PAGESIZE);
  dl_iterate_phdr(release_code, &page);
}
