// What this process has resident without need.

#define _GNU_SOURCE
#include "CLinux.h"

#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

// Where the dynamic linker had to correct code in place, the pages are not the file's any more. Compilers have long not made such code.
static int is_corrected(const struct dl_phdr_info *object) {
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

// Only segments that are never written: what is made read-only after it was written (RELRO) is part of a writable one.
static int release_code(struct dl_phdr_info *object, size_t size, void *page_size) {
  (void)size;
  // The vDSO is the kernel's, and has no file.
  if (object->dlpi_addr == getauxval(AT_SYSINFO_EHDR) || is_corrected(object)) return 0;
  const ElfW(Addr) page = *(const ElfW(Addr) *)page_size;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
    const ElfW(Addr) start = object->dlpi_addr + segment->p_vaddr;
    const ElfW(Addr) first = start & ~(page - 1);
    // Refused where memory is locked (mlockall), and rightly so.
    madvise((void *)first, start + segment->p_filesz - first, MADV_DONTNEED);
  }
  return 0;
}

void clinux_release_code(void) {
  ElfW(Addr) page = (ElfW(Addr))sysconf(_SC_PAGESIZE);
  dl_iterate_phdr(release_code, &page);
}
