// Rights and other programs: GNU extensions, system calls that the C library does not wrap, and what only C may do
// between vfork and exec.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// MARK: Rights

int clinux_become(uid_t user, gid_t group) {
  if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0) return -errno;
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -errno;
  if (setresuid(user, user, user) < 0) return -errno;
  return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int clinux_identity(uid_t users[3], gid_t groups[3]) {
  if (getresuid(&users[0], &users[1], &users[2]) < 0) return -errno;
  return getresgid(&groups[0], &groups[1], &groups[2]) < 0 ? -errno : 0;
}

int clinux_capabilities(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return -errno;
  *effective = data[0].effective | (uint64_t)data[1].effective << 32;
  *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
  *inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
  return 0;
}

int clinux_set_capabilities(uint64_t capabilities) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  uint32_t low = (uint32_t)capabilities, high = (uint32_t)(capabilities >> 32);
  struct __user_cap_data_struct data[2] = {
    {.effective = low, .permitted = low},
    {.effective = high, .permitted = high},
  };
  return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

// The kernel may know more capabilities than the header, so these ask the kernel for all.

int clinux_empty_bounding_set(void) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return -errno;
  return 0;
}

int clinux_bounding_set_size(void) {
  int size = 0, is_in;
  for (int capability = 0; (is_in = prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0; capability++) size += is_in;
  return size;
}

int clinux_gain_no_privileges(void) {
  // A kernel without ambient capabilities has none to clear.
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) return -errno;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

// MARK: Other programs

// Between vfork and exec the memory is the parent's, so these functions use system calls and locals only.

static int become_standard(int fd, int standard) {
  // First to a number above the standard ones, so that none replaces another.
  int copy = fd < 0 ? open("/dev/null", O_RDWR) : fd;
  if (copy < 0) return -1;
  copy = fcntl(copy, F_DUPFD, 3);
  return copy < 0 ? -1 : dup2(copy, standard);
}

static void become(const char *path, char *const arguments[], char *const environment[], int output) {
  if (setsid() < 0 || chdir("/") < 0) return;
  if (output >= 0 && (output = fcntl(output, F_DUPFD, 3)) < 0) return;
  if (become_standard(-1, 0) < 0 || become_standard(output, 1) < 0 || dup2(1, 2) < 0) return;
  if (close_range(3, ~0U, 0) < 0) return;

  // Fails without the right to change the bounding set. That is harmless: no new privileges can be gained.
  clinux_empty_bounding_set();
  if (clinux_gain_no_privileges() < 0 || clinux_set_capabilities(0) < 0) {
    errno = EPERM;
    return;
  }

  // SIGKILL, SIGSTOP and two signals of the C library's own cannot be set.
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(path, arguments, environment);
}

pid_t clinux_spawn(const char *path, char *const arguments[], char *const environment[], int output) {
  // No handler of the parent may run in the child, which shares its memory.
  sigset_t all, former;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);
  volatile int error = 0;
  pid_t process = vfork();
  if (process == 0) {
    become(path, arguments, environment, output);
    error = errno;
    _exit(127);
  }
  int failure = process < 0 ? errno : error;
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  if (failure == 0) return process;
  if (process > 0) {
    siginfo_t unused;
    while (waitid(P_PID, (id_t)process, &unused, WEXITED) < 0 && errno == EINTR) continue;
  }
  return -failure;
}

int clinux_process_descriptor(pid_t process) {
  int fd = (int)syscall(SYS_pidfd_open, process, 0);
  return fd < 0 ? -errno : fd;
}

int clinux_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}
