// Who this process is and what it may do: GNU extensions, and system calls that the C library does not wrap.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// Version 3 of the structures, of two halves of 32 bits.

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

// The kernel may know more capabilities than the header did when this was built: it says itself where they end.

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
