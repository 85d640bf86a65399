/* A disk to break, preloaded into a process: it watches the files in the folder $FLOWCHAIN_DISK.

   FLOWCHAIN_FAIL_AT=n   the n-th write or sync of the database or its log, and all after it, fail with an I/O error
   FLOWCHAIN_TAPE=file   every write, sync, truncation and removal is appended to the tape, in order, so that whoever
                         reads it can make any image that a power failure could have left

   A record of the tape: operation, offset, size, length of the name, name, data. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static long passed = 0;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* The part of a path within the folder, or NULL for files that are none of ours. */
static const char *ours(const char *path) {
    const char *folder = getenv("FLOWCHAIN_DISK");
    size_t length = folder ? strlen(folder) : 0;
    if (!length || strncmp(path, folder, length) || path[length] != '/') return NULL;
    if (strstr(path, "-shm") || strstr(path, "-lock")) return NULL;
    return path + length + 1;
}

static const char *named(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return ours(path);
}

static void tape(char operation, const char *name, int64_t at, const void *data, int64_t size) {
    const char *path = getenv("FLOWCHAIN_TAPE");
    if (!path) return;
    int64_t length = (int64_t)strlen(name), has_data = data != NULL;
    int64_t head[4] = {operation, at, size, length};
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (syscall(SYS_write, file, head, sizeof head) < 0 || syscall(SYS_write, file, name, length) < 0 ||
        (has_data && syscall(SYS_write, file, data, size) < 0))
        abort();
    syscall(SYS_close, file);
}

static int stops(int descriptor, char operation, int64_t at, const void *data, int64_t size) {
    char path[PATH_MAX];
    const char *name = named(descriptor, path);
    if (!name) return 0;
    const char *limit = getenv("FLOWCHAIN_FAIL_AT");
    if (limit && strcmp(name, "log") && ++passed >= atol(limit)) {
        errno = EIO;
        return 1;
    }
    tape(operation, name, at, data, size);
    return 0;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    return stops(fd, 'W', at, data, (int64_t)size) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    return stops(fd, 'W', at, data, (int64_t)size) ? -1 : real(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    return stops(fd, 'A', 0, data, (int64_t)size) ? -1 : real(fd, data, size);
}

int fsync(int fd) {
    REAL(fsync);
    return stops(fd, 'S', 0, NULL, 0) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return stops(fd, 'S', 0, NULL, 0) ? -1 : real(fd);
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    return stops(fd, 'T', size, NULL, 0) ? -1 : real(fd, size);
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    return stops(fd, 'T', size, NULL, 0) ? -1 : real(fd, size);
}

int unlink(const char *path) {
    REAL(unlink);
    const char *name = ours(path);
    if (name) tape('U', name, 0, NULL, 0);
    return real(path);
}
