#include "tokens/wallet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

#define HEAD "masqueproxy: token wallet, version 1"
#define NO_ORIGIN "*"
#define LOCK_TRIES 100

/* --- the text ----------------------------------------------------------------------------------------------------- */

/* The next field of a line, behind which a blank or the end is. False: it is empty or too long. */
static bool take_field(const char **at, const char *end, char *field, size_t size) {
    const char *stop = memchr(*at, ' ', (size_t)(end - *at));
    size_t length = (size_t)((stop ? stop : end) - *at);
    if (length == 0 || length >= size || memchr(*at, 0, length)) {
        return false;
    }
    memcpy(field, *at, length);
    field[length] = 0;
    *at = stop ? stop + 1 : end;
    return true;
}

/* "TYPE ISSUER ORIGIN TOKEN" */
static bool parse_line(const char *at, const char *end, wallet_token *token) {
    char type[4];
    uint8_t bytes[MASQUE_TOKEN_MAX];
    size_t length;
    bool good = take_field(&at, end, type, sizeof type) && take_field(&at, end, token->issuer, sizeof token->issuer) &&
                take_field(&at, end, token->origin, sizeof token->origin) &&
                take_field(&at, end, token->text, sizeof token->text) && at == end && type[1] == 0 &&
                (type[0] == '1' || type[0] == '2') &&
                masque_base64_decode(bytes, sizeof bytes, &length, token->text, strlen(token->text));
    token->type = type[0] == '1' ? MASQUE_TOKEN_VOPRF : MASQUE_TOKEN_BLIND_RSA;
    if (good && strcmp(token->origin, NO_ORIGIN) == 0) {
        token->origin[0] = 0;
    }
    return good;
}

static size_t count_lines(const char *text, size_t length) {
    size_t count = 1;
    for (size_t i = 0; i < length; i++) {
        count += text[i] == '\n';
    }
    return count;
}

wallet_token *wallet_parse(const char *text, size_t length, size_t *count, unsigned *wrong) {
    const char *end = text + length;
    size_t lines = count_lines(text, length);
    wallet_token *tokens = lines <= WALLET_TOKENS_MAX + 2 ? malloc(lines * sizeof *tokens) : NULL;
    unsigned number = 0;
    *count = 0;
    *wrong = 0;
    for (const char *at = text; tokens && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        bool head = ++number == 1;
        bool good = head ? (size_t)(stop - at) == strlen(HEAD) && memcmp(at, HEAD, strlen(HEAD)) == 0
                         : parse_line(at, stop, &tokens[*count]);
        if (!good) {
            *wrong = number;
            free(tokens);
            return NULL;
        }
        *count += !head;
        at = stop < end ? stop + 1 : end;
    }
    return tokens;
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

/* The descriptor of PATH with its lock; another program may have replaced the file while we waited for that. */
static int lock(const char *path, bool make, mqd_message *message) {
    for (int i = 0; i < LOCK_TRIES; i++) {
        struct stat ours, now;
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | (make ? O_CREAT : 0), 0600);
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, &ours) != 0) {
            say(message, "can't use the wallet %.300s: %s", path, strerror(errno));
            if (fd >= 0) {
                close(fd);
            }
            return -1;
        }
        if (stat(path, &now) == 0 && now.st_ino == ours.st_ino && now.st_dev == ours.st_dev) {
            return fd;
        }
        close(fd);
    }
    say(message, "the wallet %.300s is replaced all the time", path);
    return -1;
}

wallet_token *wallet_read(const char *path, size_t *count, mqd_message *message) {
    unsigned wrong;
    size_t length;
    char *text = read_secret_file(path, &length, message);
    if (!text) {
        return NULL;
    }
    wallet_token *tokens = wallet_parse(text, length, count, &wrong);
    if (!tokens && wrong) {
        say(message, "%.300s:%u: no token; expected TYPE ISSUER ORIGIN TOKEN, as masqueproxy token get writes it", path,
            wrong);
    } else if (!tokens) {
        say(message, "%.300s holds more than %u tokens, or there is no memory", path, WALLET_TOKENS_MAX);
    }
    forget_secret(text, length);
    return tokens;
}

static bool write_tokens(FILE *file, const wallet_token *tokens, size_t count) {
    fprintf(file, "%s\n", HEAD);
    for (size_t i = 0; i < count; i++) {
        const wallet_token *token = &tokens[i];
        fprintf(file, "%d %s %s %s\n", (int)token->type, token->issuer, token->origin[0] ? token->origin : NO_ORIGIN,
                token->text);
    }
    return fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
}

/* The old file's place is taken by one with two parts. */
static bool replace(const char *path, const wallet_token *first, size_t first_count, const wallet_token *second,
                    size_t second_count, mqd_message *message) {
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    size_t all = first_count + second_count;
    wallet_token *tokens = malloc((all + 1) * sizeof *tokens);
    bool done = false;
    if (file && tokens) {
        memcpy(tokens, first, first_count * sizeof *tokens);
        if (second_count > 0) {
            memcpy(tokens + first_count, second, second_count * sizeof *tokens);
        }
        done = write_tokens(file, tokens, all) && rename(fresh, path) == 0;
    }
    if (!done) {
        say(message, "can't write the wallet %.300s: %s", path, strerror(errno));
        unlink(fresh);
    }
    if (file) {
        fclose(file);
    } else if (fd >= 0) {
        close(fd);
    }
    forget_secret((char *)tokens, (all + 1) * sizeof *tokens);
    return done && sync_folder_of(path, message);
}

bool wallet_add(const char *path, const wallet_token *tokens, size_t count, mqd_message *message) {
    size_t there = 0;
    bool done = false;
    int fd = lock(path, true, message);
    if (fd < 0) {
        return false;
    }
    wallet_token *old = wallet_read(path, &there, message);
    if (old && there + count > WALLET_TOKENS_MAX) {
        say(message, "%.300s would hold more than %u tokens", path, WALLET_TOKENS_MAX);
    } else if (old) {
        done = replace(path, old, there, tokens, count, message);
    }
    forget_secret((char *)old, there * sizeof *old);
    close(fd);
    return done;
}

bool wallet_take(const char *path, wallet_token *token, mqd_message *message) {
    size_t there = 0;
    bool done = false;
    int fd = lock(path, false, message);
    if (fd < 0) {
        return false;
    }
    wallet_token *tokens = wallet_read(path, &there, message);
    if (tokens && there == 0) {
        say(message, "no token is left in %.300s; masqueproxy token get fetches more", path);
    } else if (tokens) {
        *token = tokens[0];
        done = replace(path, tokens + 1, there - 1, NULL, 0, message);
    }
    forget_secret((char *)tokens, there * sizeof *tokens);
    close(fd);
    return done;
}
