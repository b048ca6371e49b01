/* A disk that is full, for test_full.py: writes below FULL_UNDER fail with ENOSPC while the file FULL_WHEN is there.
 *   cc -shared -fPIC full.c -o full.so -ldl; LD_PRELOAD=full.so FULL_UNDER=… FULL_WHEN=… program */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int full(int fd) {
    const char *under = getenv("FULL_UNDER"), *when = getenv("FULL_WHEN");
    char link[64], path[4096];
    if (!under || !when || access(when, F_OK) != 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, under, strlen(under)) != 0)
        return 0;
    errno = ENOSPC;
    return 1;
}

#define CALL(type, name, parameters, arguments)                      \
    type name parameters {                                           \
        static type (*real) parameters;                              \
        if (full(fd))                                                \
            return -1;                                               \
        if (!real)                                                   \
            real = (type (*) parameters)dlsym(RTLD_NEXT, #name);     \
        return real arguments;                                       \
    }

CALL(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
CALL(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
CALL(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
CALL(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
CALL(ssize_t, sendfile, (int fd, int in, off_t *at, size_t size), (fd, in, at, size))
CALL(ssize_t, sendfile64, (int fd, int in, off64_t *at, size_t size), (fd, in, at, size))
