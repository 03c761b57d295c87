// The C that Swift cannot reach by itself: ioctl requests behind function-like macros, GNU extensions, and kernel
// headers that the Glibc module lacks. Every function returns a value of zero or more, or -errno.

#ifndef CLINUX_H
#define CLINUX_H

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

// MARK: TUN

/// Attaches an open /dev/net/tun descriptor to the interface `name` (TUNSETIFF).
int clinux_tun_attach(int fd, const char *name, short flags);

/// Sets the offloads of this TUN's reader (TUNSETOFFLOAD, TUN_F_* bits).
int clinux_tun_set_offloads(int fd, unsigned int offloads);

/// Makes the virtio headers of this TUN 10 bytes long and little-endian on every host (TUNSETVNETHDRSZ, TUNSETVNETLE).
int clinux_tun_set_header(int fd);

// MARK: Sockets

/// Accepts a connection, non-blocking and closed on exec (accept4); `address` and `length` may be null.
int clinux_accept(int fd, struct sockaddr *address, socklen_t *length);

/// The process that connected a local socket (SO_PEERCRED).
int clinux_peer_credentials(int fd, pid_t *process, uid_t *user, gid_t *group);

/// Sends bytes, and a descriptor with the first of them, by a local socket without waiting (SCM_RIGHTS). Returns the
/// number of bytes sent.
int clinux_send_descriptor(int fd, const void *bytes, size_t count, int passed);

/// Reads bytes from a local socket without waiting, and the descriptor that came with them, closed on exec, or -1.
int clinux_receive_descriptor(int fd, void *bytes, size_t count, int *received);

/// How many sent bytes the other end has not taken yet; for TCP, not acknowledged (SIOCOUTQ).
int clinux_undelivered(int fd);

/// How many bytes of a TCP connection the kernel has not sent once (SIOCOUTQNSD).
int clinux_unsent(int fd);

/// Takes an error off the socket's queue (MSG_ERRQUEUE): the packet's destination, and who reported the error
/// (`reporter->ss_family` is 0 if this host did). -EAGAIN if there is none. 1: the hop limit was reached; 0: another
/// error.
int clinux_read_error(int fd, struct sockaddr_storage *destination, struct sockaddr_storage *reporter);

/// What the kernel knows of a TCP connection (TCP_INFO). Zero where the kernel is too old to tell.
struct clinux_tcp_facts {
  /// The rate of delivery in bytes a second, as last measured.
  uint64_t delivery_rate;
  /// 1 if the rate may be higher, because there was not always data to send.
  uint32_t may_be_faster;
  /// The largest segment that this end sends, and the MTU of the path, in bytes.
  uint32_t segment;
  uint32_t path;
  /// The smoothed round trip and its variation, in microseconds.
  uint32_t round_trip;
  uint32_t variation;
  /// How often in a row the retransmission timer has expired for the oldest unacknowledged segment.
  uint32_t timeouts;
  /// Milliseconds since the last segment with an acknowledgment, even if it acknowledged nothing new.
  uint32_t acknowledged;
  /// How many segments came after a missing one (since Linux 5.4).
  uint32_t out_of_order;
};

int clinux_tcp_facts(int fd, struct clinux_tcp_facts *facts);

// MARK: This process

/// How many cores the calling thread may run on (sched_getaffinity); -EINVAL where there are more than 1024.
int clinux_usable_cores(void);

/// Whether a program synchronizes the clock (adjtimex, STA_UNSYNC): 1 or 0.
int clinux_clock_is_kept(void);

/// Closes every descriptor from `first` on.
int clinux_close_from(unsigned int first);

/// How many columns and rows a terminal shows (TIOCGWINSZ).
int clinux_terminal_size(int fd, uint16_t *columns, uint16_t *rows);

/// Names the calling thread, by the first 15 bytes.
int clinux_name_thread(const char *name);

/// Writes one line to the system's log (syslog); `priority` is 0 to 7.
void clinux_syslog(const char *program, int priority, const char *text);

/// Unmaps the pages of code and constants that this process never writes (MADV_DONTNEED); the next use reads them from
/// their files again.
void clinux_release_code(void);

// MARK: Rights

/// Gives up every supplementary group, then becomes the group and the user for good (setgroups, setresgid, setresuid);
/// the permitted capabilities stay.
int clinux_become(uid_t user, gid_t group);

/// The real, effective and saved user and group of the calling thread (getresuid, getresgid).
int clinux_identity(uid_t users[3], gid_t groups[3]);

/// The capabilities of the calling thread, a bit each (capget).
int clinux_capabilities(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);

/// Makes these the calling thread's permitted and effective capabilities, and none inheritable (capset).
int clinux_set_capabilities(uint64_t capabilities);

/// Empties the calling thread's bounding set, which needs CAP_SETPCAP (PR_CAPBSET_DROP).
int clinux_empty_bounding_set(void);

/// How many capabilities are in the calling thread's bounding set.
int clinux_bounding_set_size(void);

/// Empties the calling thread's ambient set, and stops every program that it runs from gaining privileges
/// (PR_CAP_AMBIENT, PR_SET_NO_NEW_PRIVS).
int clinux_gain_no_privileges(void);

// MARK: Other processes

/// Starts the program at `path` in a session of its own, in the directory /, with /dev/null as standard input, `output`
/// as standard output and standard error, or /dev/null if that is negative, and no other descriptor; no capability and
/// no way to one; every signal at its default and unblocked. Blocks until the program is started. Returns its process
/// number.
pid_t clinux_spawn(const char *path, char *const arguments[], char *const environment[], int output);

/// A descriptor that becomes readable as the process ends, closed on exec (pidfd_open).
int clinux_process_descriptor(pid_t process);

/// Both ends of a pipe, closed on exec; the first, to read from, does not block (pipe2).
int clinux_pipe(int ends[2]);

#endif
