/* Preloaded into a child: logs what it writes to a store's files, or makes one of the writes fail.

   shim_arm(prefix, log, fail_at, error, persists) starts it: files whose path begins with `prefix` are the store's.
   Every write, truncation, sync, creation and removal of them goes into `log`, in order, and what is printed on
   standard output between them. The operation number `fail_at` (from 1) fails with `error`, as do all later ones
   when it `persists`. A write that fails with ENOSPC puts half of its bytes down first, as a full disk does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 4096
static char prefix[4096];
static char *names[MOST]; /* the store's file behind a descriptor; "/" for its folder */
static int log_fd = -1, armed, fail_at, error_code, persists, operations;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(kind, name, ...) \
    static kind (*real)(__VA_ARGS__); \
    if (!real) real = (kind (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t raw_write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, data, size);
}

static void put(const void *data, size_t size) {
    const char *at = data;
    while (size) {
        ssize_t n = raw_write(log_fd, at, size);
        if (n <= 0) _exit(97);
        at += n, size -= (size_t)n;
    }
}

/* kind, name, offset, length, data */
static void note(char kind, const char *name, int64_t offset, int64_t length, const void *data) {
    if (log_fd < 0) return;
    uint16_t size = (uint16_t)strlen(name);
    put(&kind, 1), put(&size, 2), put(name, size), put(&offset, 8), put(&length, 8);
    if (data) put(data, (size_t)length);
}

static int fails(void) {
    operations++;
    return fail_at && (operations == fail_at || (persists && operations > fail_at));
}

static char *name_of(int fd) { return armed && fd >= 0 && fd < MOST ? names[fd] : NULL; }

static void opened(int fd, const char *path, int existed) {
    char real_path[4096];
    if (!armed || fd < 0 || fd >= MOST) return;
    names[fd] = NULL;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, real_path, sizeof real_path - 1);
    if (n < 0) return;
    real_path[n] = 0;
    (void)path;
    size_t size = strlen(prefix);
    if (!strncmp(real_path, prefix, size)) {
        const char *base = strrchr(real_path, '/') + 1;
        names[fd] = strdup(base);
        if (!existed) note('C', base, 0, 0, NULL);
    } else {
        const char *slash = strrchr(prefix, '/');
        if ((size_t)n == (size_t)(slash - prefix) && !strncmp(real_path, prefix, (size_t)n))
            names[fd] = strdup("/");
    }
}

static int is_there(const char *path) { struct stat s; return !stat(path, &s); }

#define OPEN(symbol) \
    int symbol(const char *path, int flags, ...) { \
        REAL(int, #symbol, const char *, int, ...); \
        va_list rest; va_start(rest, flags); \
        mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0; va_end(rest); \
        pthread_mutex_lock(&turn); \
        int existed = armed ? is_there(path) : 1; \
        int fd = real(path, flags, mode); \
        int kept = errno; opened(fd, path, existed); errno = kept; \
        pthread_mutex_unlock(&turn); \
        return fd; \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(int, "close", int);
    pthread_mutex_lock(&turn);
    if (fd >= 0 && fd < MOST) names[fd] = NULL;
    pthread_mutex_unlock(&turn);
    return real(fd);
}

static ssize_t put_down(int fd, const void *data, size_t size, off_t offset) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    pthread_mutex_lock(&turn);
    char *name = name_of(fd);
    ssize_t done;
    if (name && fails()) {
        size_t half = error_code == ENOSPC ? size / 2 : 0;
        if (half) real(fd, data, half, offset);
        errno = error_code, done = -1;
    } else {
        done = real(fd, data, size, offset);
        if (name && done > 0) note('W', name, offset, done, data);
    }
    pthread_mutex_unlock(&turn);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return put_down(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return put_down(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    char *name = name_of(fd);
    if (name) {
        off_t at = lseek(fd, 0, SEEK_CUR);
        ssize_t done = put_down(fd, data, size, at);
        if (done > 0) lseek(fd, at + done, SEEK_SET);
        return done;
    }
    if (armed && fd == 1) {
        pthread_mutex_lock(&turn);
        note('A', "", 0, (int64_t)size, data);
        pthread_mutex_unlock(&turn);
    }
    return raw_write(fd, data, size);
}

#define SYNC(symbol) \
    int symbol(int fd) { \
        REAL(int, #symbol, int); \
        char *name = name_of(fd); \
        if (!name) return real(fd); \
        pthread_mutex_lock(&turn); \
        int done = 0; \
        if (fails()) errno = error_code, done = -1; \
        else note('S', name, 0, 0, NULL); \
        pthread_mutex_unlock(&turn); \
        return done; /* nothing here looks at a real disk: the log is what counts */ \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(symbol, kind) \
    int symbol(int fd, kind size) { \
        REAL(int, #symbol, int, kind); \
        pthread_mutex_lock(&turn); \
        char *name = name_of(fd); \
        int done; \
        if (name && !strstr(name, "-shm") && fails()) errno = error_code, done = -1; \
        else { done = real(fd, size); if (name && !done) note('T', name, (int64_t)size, 0, NULL); } \
        pthread_mutex_unlock(&turn); \
        return done; \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    int ours = armed && !strncmp(path, prefix, strlen(prefix));
    if (!ours) return real(path);
    pthread_mutex_lock(&turn);
    int done = real(path);
    if (!done) note('U', strrchr(path, '/') + 1, 0, 0, NULL);
    pthread_mutex_unlock(&turn);
    return done;
}

void shim_arm(const char *of, const char *log, int at, int error, int goes_on) {
    snprintf(prefix, sizeof prefix, "%s", of);
    fail_at = at, error_code = error, persists = goes_on, operations = 0;
    if (log[0]) log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    armed = 1;
}

int shim_operations(void) { return operations; }
