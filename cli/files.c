#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Keys and certificates are small; a larger file is a mistake. */
#define FILE_MAX (4u << 20)
/* Geofeeds of millions of prefixes. */
#define LARGE_FILE_MAX (512u << 20)
/* Others may do nothing, the group may read. */
#define TOO_OPEN (S_IRWXO | S_IWGRP)

static char *read_descriptor(int fd, size_t size, size_t *length) {
    char *bytes = malloc(size + 1);
    *length = 0;
    while (bytes && *length < size) {
        ssize_t count = read(fd, bytes + *length, size - *length);
        if (count <= 0) {
            break;
        }
        *length += (size_t)count;
    }
    if (bytes) {
        bytes[*length] = 0;
    }
    return bytes;
}

static char *read_file(const char *path, size_t *length, bool secret, size_t most, mqd_message *message) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
    if (fd < 0 || fstat(fd, &status) != 0) {
        bool elsewhere = errno == ENOENT && path[0] != '/' && path[0] != 0;
        say(message, "can't read %.300s: %s%s", path[0] ? path : "a file without a name", strerror(errno),
            elsewhere ? " (relative to the working directory)" : "");
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    char *bytes = NULL;
    if (!S_ISREG(status.st_mode) || status.st_size > (off_t)most) {
        say(message, "%.300s is not a regular file of at most %zu MiB", path, most >> 20);
    } else if (secret && (status.st_mode & TOO_OPEN)) {
        say(message, "%.300s holds a secret, but its mode is %04o; make it 0600, or 0640 for a group", path,
            (unsigned)status.st_mode & 07777u);
    } else {
        bytes = read_descriptor(fd, (size_t)status.st_size, length);
        if (!bytes) {
            say(message, "out of memory");
        }
    }
    close(fd);
    return bytes;
}

char *read_whole_file(const char *path, size_t *length, mqd_message *message) {
    return read_file(path, length, false, FILE_MAX, message);
}

char *read_large_file(const char *path, size_t *length, mqd_message *message) {
    return read_file(path, length, false, LARGE_FILE_MAX, message);
}

char *read_secret_file(const char *path, size_t *length, mqd_message *message) {
    return read_file(path, length, true, FILE_MAX, message);
}

char *read_password_file(const char *path, size_t *length, mqd_message *message) {
    char *password = read_secret_file(path, length, message);
    if (password) {
        password[strcspn(password, "\r\n")] = 0;
    }
    return password;
}

bool write_new_secret(const char *path, const char *text, size_t length, mqd_message *message) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = fd >= 0 && write(fd, text, length) == (ssize_t)length && fsync(fd) == 0;
    if (!done) {
        say(message, "can't write %.300s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    if (fd >= 0 && !done) {
        unlink(path);
    }
    return done;
}

void forget_secret(char *secret, size_t length) {
    if (secret) {
        explicit_bzero(secret, length);
        free(secret);
    }
}

bool sync_folder_of(const char *path, mqd_message *message) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + (slash == path)) : 1, slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (!done) {
        say(message, "can't write the folder of %.300s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

bool is_one_line(const char *text, size_t length) {
    size_t line = strcspn(text, "\r\n");
    size_t end = line + strspn(text + line, "\r");
    return end + (end < length && text[end] == '\n') == length;
}
