// The C that Swift cannot reach by itself: ioctl requests behind function-like macros, GNU extensions, and kernel
// headers that the Glibc module does not carry. Every function returns a value of zero or more, or -errno.

#ifndef CLINUX_H
#define CLINUX_H

#include "tcp_facts.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/// Attaches an open /dev/net/tun descriptor to the interface `name` (TUNSETIFF); the kernel's name for it is written
/// to `attached`, IFNAMSIZ bytes.
int clinux_tun_attach(int fd, const char *name, short flags, char *attached);

/// Says which offloads the reader of this TUN takes (TUNSETOFFLOAD, TUN_F_* bits).
int clinux_tun_set_offloads(int fd, unsigned int offloads);

/// Makes the virtio headers of this TUN 10 bytes long and little-endian on every host (TUNSETVNETHDRSZ, TUNSETVNETLE).
int clinux_tun_set_header(int fd);

/// Accepts a connection, non-blocking and closed on exec (accept4); `address` and `length` may be null.
int clinux_accept(int fd, struct sockaddr *address, socklen_t *length);

/// Who connected a local socket (SO_PEERCRED).
int clinux_peer_credentials(int fd, pid_t *process, uid_t *user, gid_t *group);

/// Sends bytes, and a descriptor along with the first of them, by a local socket without waiting (SCM_RIGHTS); how many went.
int clinux_send_descriptor(int fd, const void *bytes, size_t count, int passed);

/// Reads bytes from a local socket without waiting, and the descriptor that came along, or -1; it is closed on exec.
int clinux_receive_descriptor(int fd, void *bytes, size_t count, int *received);

/// How many cores the calling thread may run on (sched_getaffinity); -EINVAL where there are more than 1024.
int clinux_usable_cores(void);

/// Whether somebody keeps the clock right (adjtimex, STA_UNSYNC): 1 or 0.
int clinux_clock_is_kept(void);

/// How many bytes the other end of a stream has not taken yet, its kernel's word for TCP (SIOCOUTQ).
int clinux_undelivered(int fd);

/// How many bytes of a TCP connection the kernel has not sent once (SIOCOUTQNSD).
int clinux_unsent(int fd);

/// Asks that errors which others report about what this socket sends are kept for `clinux_read_error` (IP_RECVERR,
/// IPV6_RECVERR); `family` is the socket's.
int clinux_keep_errors(int fd, int family);

/// How many routers what this socket sends may pass (IP_TTL, IPV6_UNICAST_HOPS).
int clinux_set_hop_limit(int fd, int family, int limit);

/// Takes an error off the socket's queue (MSG_ERRQUEUE): where to what had been sent, and who has reported the error
/// (`reporter->ss_family` is 0 if that was this host). -EAGAIN if there is none. 1: the hop limit was reached; 0: another error.
int clinux_read_error(int fd, struct sockaddr_storage *destination, struct sockaddr_storage *reporter);

/// Closes every descriptor from `first` on.
int clinux_close_from(unsigned int first);

/// How many columns and rows a terminal shows (TIOCGWINSZ).
int clinux_terminal_size(int fd, uint16_t *columns, uint16_t *rows);

/// Names the calling thread; at most 15 bytes count.
int clinux_name_thread(const char *name);

/// Writes one line to the system's log (syslog); `priority` is 0 to 7.
void clinux_syslog(const char *program, int priority, const char *text);

/// Gives up every supplementary group, then becomes the group and the user for good (setgroups, setresgid, setresuid);
/// the permitted capabilities stay.
int clinux_become(uid_t user, gid_t group);

/// The real, effective and saved user and group of the calling thread (getresuid, getresgid).
int clinux_identity(uid_t users[3], gid_t groups[3]);

/// The capabilities of the calling thread, a bit each (capget).
int clinux_capabilities(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);

/// Sets those of the calling thread: permitted and effective alike, none inheritable (capset).
int clinux_set_capabilities(uint64_t capabilities);

/// Empties the calling thread's bounding set, which needs CAP_SETPCAP (PR_CAPBSET_DROP).
int clinux_empty_bounding_set(void);

/// How many capabilities are in the calling thread's bounding set.
int clinux_bounding_set_size(void);

/// Empties the calling thread's ambient set, and has no program that it runs gain privileges (PR_CAP_AMBIENT,
/// PR_SET_NO_NEW_PRIVS).
int clinux_gain_no_privileges(void);

/// Starts the program at `path` in a session of its own, in the directory /, with /dev/null as standard input, `output` as standard
/// output and for errors, or /dev/null if that is negative, and no other descriptor; no capability and no way to one;
/// every signal at its default and unblocked. Gives its number, or -errno of whatever failed, the program's start included.
/// The calling thread rests until it is started.
pid_t clinux_spawn(const char *path, char *const arguments[], char *const environment[], int output);

/// A descriptor that becomes readable as the process ends, closed on exec (pidfd_open).
int clinux_process_descriptor(pid_t process);

/// Two ends of a pipe, closed on exec, of which the first, to read from, does not block (pipe2).
int clinux_pipe(int ends[2]);

/// Lets go of the pages of code and constants that this process has mapped and never writes (MADV_DONTNEED); they come back
/// from their files when they are used.
void clinux_release_code(void);

#endif
