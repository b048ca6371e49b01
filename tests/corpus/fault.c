/* Storage that fails, for test_disks.py: calls of a kind (FAULT_OF: read, write or rename) on files below FAULT_UNDER fail
 * with the error of number FAULT_IS while the file FAULT_WHEN is there.
 *   cc -shared -fPIC fault.c -o fault.so -ldl; LD_PRELOAD=fault.so FAULT_OF=… … program */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(const char *of, const char *path) {
    const char *kind = getenv("FAULT_OF"), *under = getenv("FAULT_UNDER"), *when = getenv("FAULT_WHEN");
    const char *is = getenv("FAULT_IS");
    if (!kind || !under || !when || !is || strcmp(kind, of) != 0 || strncmp(path, under, strlen(under)) != 0
        || access(when, F_OK) != 0)
        return 0;
    errno = atoi(is);
    return 1;
}

static int fails_open(const char *of, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(of, path);
}

#define CALL(type, name, parameters, arguments, fault)               \
    type name parameters {                                           \
        static type (*real) parameters;                              \
        if (fault)                                                   \
            return -1;                                               \
        if (!real)                                                   \
            real = (type (*) parameters)dlsym(RTLD_NEXT, #name);     \
        return real arguments;                                       \
    }
#define READS(type, name, parameters, arguments) CALL(type, name, parameters, arguments, fails_open("read", fd))
#define WRITES(type, name, parameters, arguments) CALL(type, name, parameters, arguments, fails_open("write", fd))

READS(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
WRITES(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
WRITES(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRITES(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
WRITES(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRITES(ssize_t, sendfile, (int fd, int in, off_t *at, size_t size), (fd, in, at, size))
WRITES(ssize_t, sendfile64, (int fd, int in, off64_t *at, size_t size), (fd, in, at, size))
CALL(int, rename, (const char *from, const char *to), (from, to), fails("rename", to))
