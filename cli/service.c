#include "service.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "socket.h"

/* Where systemd's sockets begin (sd_listen_fds(3)). */
#define FIRST_PASSED 3

int service_passed_sockets(int *first) {
    const char *count = getenv("LISTEN_FDS");
    const char *pid = getenv("LISTEN_PID");
    *first = FIRST_PASSED;
    if (!count || !pid || strtol(pid, NULL, 10) != (long)getpid()) {
        return 0;
    }
    long number = strtol(count, NULL, 10);
    return number > 0 && number <= LISTENERS_MAX ? (int)number : 0;
}

static bool is_listening(int fd, masque_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int listens = 0;
    socklen_t listens_length = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_length) == 0 && listens &&
           getsockname(fd, (struct sockaddr *)&storage, &length) == 0 &&
           address_from_sockaddr(address, (struct sockaddr *)&storage);
}

/* An entry of the file whose address no socket has would be passed over, and what it asks for with it. */
static bool check_passed(const mqd_settings *settings, mqd_settings *passed, mqd_message *message) {
    for (size_t i = 0; i < settings->listener_count; i++) {
        const mqd_listener *listener = &settings->listeners[i];
        if (listener->place && !settings_find_listener(passed, &listener->address)) {
            say(message, "%.250s: none of the sockets that were passed on has this address, and what is said of it",
                listener->place);
            return false;
        }
    }
    return true;
}

bool service_use_passed_addresses(mqd_settings *settings, mqd_message *message) {
    int first;
    int count = service_passed_sockets(&first);
    static mqd_settings passed; /* its listeners alone; too large for some stacks */
    if (count == 0) {
        return true;
    }
    passed.listener_count = 0;
    for (int i = 0; i < count; i++) {
        masque_address address;
        if (!is_listening(first + i, &address)) {
            say(message, "LISTEN_FDS names descriptor %d, which is no listening TCP socket; unset it, or pass one",
                first + i);
            return false;
        }
        const mqd_listener *named = settings_find_listener(settings, &address);
        const mqd_listener plain = {.address = address};
        (void)settings_copy_listener(&passed, named ? named : &plain); /* LISTENERS_MAX bounds COUNT */
        passed.listeners[i].protocols = MASQUE_PROTOCOL_ALL;
    }
    bool good = check_passed(settings, &passed, message);
    settings_swap_listeners(settings, &passed);
    return good;
}

/* Type=notify-reload wants to know since when (sd_notify(3)). */
static void complete_state(char *text, size_t size, const char *state) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (strcmp(state, "RELOADING=1") == 0) {
        snprintf(text, size, "%s\nMONOTONIC_USEC=%lld", state, (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    } else {
        snprintf(text, size, "%s", state);
    }
}

void service_notify(const char *state) {
    char text[100];
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(address.sun_path, path, length);
    complete_state(text, sizeof text, state);
    if (path[0] == '@') {
        address.sun_path[0] = 0; /* an abstract name */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    (void)sent; /* a manager that doesn't listen is no reason to stop */
    close(fd);
}

void service_hide_memory(void) {
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static bool become(const struct passwd *entry, mqd_message *message) {
    if (setgroups(0, NULL) != 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0) {
        say(message, "can't become user %.60s: %s", entry->pw_name, strerror(errno));
        return false;
    }
    return true;
}

bool service_user_exists(const mqd_settings *settings, mqd_message *message) {
    if (settings->user && !getpwnam(settings->user)) {
        say(message, "%.250s: there is no user with the name “%.60s”; make one, or leave the key out",
            settings->user_place, settings->user);
        return false;
    }
    return true;
}

bool service_drop_privileges(const mqd_settings *settings, mqd_message *message) {
    if (settings->user) {
        const struct passwd *entry = service_user_exists(settings, message) ? getpwnam(settings->user) : NULL;
        if (!entry) {
            return false;
        }
        if (entry->pw_uid != geteuid() && !become(entry, message)) {
            return false;
        }
    }
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    service_hide_memory(); /* a change of user made it visible again */
    return true;
}
