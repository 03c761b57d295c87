// Other programs: GNU extensions, and what may only be done in C between vfork and exec.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// From here to exec the memory is the parent's: system calls alone, and locals.

static int become_standard(int fd, int standard) {
  // Above the standard ones first, or one could take the place of another.
  int copy = fd < 0 ? open("/dev/null", O_RDWR) : fd;
  if (copy < 0) return -1;
  copy = fcntl(copy, F_DUPFD, 3);
  return copy < 0 ? -1 : dup2(copy, standard);
}

static void become(
  const char *path, char *const arguments[], char *const environment[], int output) {
  if (setsid() < 0 || chdir("/") < 0) return;
  if (output >= 0 && (output = fcntl(output, F_DUPFD, 3)) < 0) return;
  if (become_standard(-1, 0) < 0 || become_standard(output, 1) < 0 || dup2(1, 2) < 0) return;
  if (close_range(3, ~0U, 0) < 0) return;

  // Whoever may not change the bounding set gains nothing by it either: without new privileges, root keeps at most what it has.
  clinux_empty_bounding_set();
  if (clinux_gain_no_privileges() < 0 || clinux_set_capabilities(0) < 0) {
    errno = EPERM;
    return;
  }

  // The handlers are copies of the parent's. Two signals cannot be set, and two the C library keeps for itself.
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(path, arguments, environment);
}

pid_t clinux_spawn(
  const char *path, char *const arguments[], char *const environment[], int output) {
  // No handler of the parent's may run in the child, which has its memory.
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
