#include "spent/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "files.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>

/* Verdicts that are waited for; further requests are told to come again. */
#define WAITING_MAX 65536u
/* Records that are written at once. */
#define BATCH_MAX 4096u
/* The file may be so many records longer than twice what is needed. */
#define SLACK 65536u
#define KEY_LENGTH 8u
#define CHECK_LENGTH 8u
#define OPEN_TRIES 100

static const uint8_t HEAD[SPENT_RECORD_LENGTH] = "masqueproxyd: spent tokens, version 1\n";

typedef struct waiting {
    masque_spent_token token;
    mqd_verdicts *verdicts;
} waiting;

struct spent_journal {
    char *path;
    spent_memory *memory;
    log_options log;
    pthread_t thread;
    /* The thread's. */
    int fd;
    uint64_t records; /* in the file, all of which are on the disk */
    bool broken;      /* what is in the file isn't known: it is to be written anew */
    bool failed;      /* the last batch did, and the log knows */
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    waiting *queue;
    size_t count;
    size_t capacity;
    bool closing;
};

/* --- records ------------------------------------------------------------------------------------------------------ */

static void put_time(uint8_t *bytes, masque_unix_time time) {
    for (size_t i = 0; i < sizeof time; i++) {
        bytes[i] = (uint8_t)((uint64_t)time >> (8 * i));
    }
}

static masque_unix_time get_time(const uint8_t *bytes) {
    uint64_t time = 0;
    for (size_t i = 0; i < sizeof time; i++) {
        time |= (uint64_t)bytes[i] << (8 * i);
    }
    return (masque_unix_time)time;
}

/* False: wolfCrypt fails. */
static bool checksum(const uint8_t *record, uint8_t check[CHECK_LENGTH]) {
    uint8_t digest[WC_SHA256_DIGEST_SIZE];
    int error = wc_Sha256Hash(record, SPENT_RECORD_LENGTH - CHECK_LENGTH, digest);
    memcpy(check, digest, CHECK_LENGTH);
    return error == 0;
}

static bool write_record(uint8_t record[SPENT_RECORD_LENGTH], const masque_spent_token *token) {
    memcpy(record, token->id, SPENT_ID_LENGTH);
    memcpy(record + SPENT_ID_LENGTH, token->key_id, KEY_LENGTH);
    put_time(record + SPENT_ID_LENGTH + KEY_LENGTH, token->not_after);
    return checksum(record, record + SPENT_RECORD_LENGTH - CHECK_LENGTH);
}

bool spent_journal_read_record(const uint8_t record[SPENT_RECORD_LENGTH], masque_spent_token *token) {
    uint8_t check[CHECK_LENGTH];
    *token = (masque_spent_token){.not_after = get_time(record + SPENT_ID_LENGTH + KEY_LENGTH)};
    memcpy(token->id, record, SPENT_ID_LENGTH);
    memcpy(token->key_id, record + SPENT_ID_LENGTH, KEY_LENGTH);
    return checksum(record, check) && memcmp(check, record + SPENT_RECORD_LENGTH - CHECK_LENGTH, CHECK_LENGTH) == 0;
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, bytes, length);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            errno = count == 0 ? ENOSPC : errno;
            return false;
        }
        bytes += count;
        length -= (size_t)count;
    }
    return true;
}

typedef struct rewriting {
    int fd;
    uint64_t records;
    size_t used;
    uint8_t buffer[BATCH_MAX * SPENT_RECORD_LENGTH];
} rewriting;

static bool flush(rewriting *to) {
    bool done = write_all(to->fd, to->buffer, to->used);
    to->used = 0;
    return done;
}

static bool rewrite_one(void *context, const masque_spent_token *token) {
    rewriting *to = context;
    if (to->used == sizeof to->buffer && !flush(to)) {
        return false;
    }
    bool made = write_record(to->buffer + to->used, token);
    to->used += SPENT_RECORD_LENGTH;
    to->records++;
    return made;
}

static bool fill(spent_journal *journal, rewriting *to) {
    memcpy(to->buffer, HEAD, sizeof HEAD);
    to->used = sizeof HEAD;
    /* Locked before it has the name, so that nobody finds it without. */
    return flock(to->fd, LOCK_EX | LOCK_NB) == 0 && fchmod(to->fd, 0600) == 0 &&
           spent_memory_each(journal->memory, time(NULL), rewrite_one, to) && flush(to) && fdatasync(to->fd) == 0;
}

/* Writes what is in memory to a new file, which takes the old one's place. False with errno set. */
static bool rewrite(spent_journal *journal) {
    char fresh[4096];
    rewriting *to = calloc(1, sizeof *to);
    if (!to) {
        errno = ENOMEM;
        return false;
    }
    snprintf(fresh, sizeof fresh, "%s.new", journal->path);
    to->fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
    bool done = to->fd >= 0 && fill(journal, to) && rename(fresh, journal->path) == 0;
    int why = errno;
    if (done) {
        close(journal->fd);
        journal->fd = to->fd;
        journal->records = to->records;
        mqd_message unused;
        done = sync_folder_of(journal->path, &unused);
        why = errno;
        journal->broken = !done;
    } else if (to->fd >= 0) {
        close(to->fd);
        unlink(fresh);
    }
    free(to);
    errno = why;
    return done;
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static bool is_too_long(const spent_journal *journal) {
    return journal->records > 2 * spent_memory_size_of(journal->memory).tokens + SLACK;
}

/* Appends COUNT records and waits for the disk. Whatever fails, none of them is there, or the file is broken. */
static bool append(spent_journal *journal, const waiting *batch, size_t count) {
    static _Thread_local uint8_t buffer[BATCH_MAX * SPENT_RECORD_LENGTH];
    bool made = true;
    for (size_t i = 0; i < count; i++) {
        made = made && write_record(buffer + i * SPENT_RECORD_LENGTH, &batch[i].token);
    }
    off_t end = (off_t)((journal->records + 1) * SPENT_RECORD_LENGTH);
    if (!made || !write_all(journal->fd, buffer, count * SPENT_RECORD_LENGTH)) {
        int why = errno;
        journal->broken = ftruncate(journal->fd, end) != 0;
        errno = why;
        return false;
    }
    if (fdatasync(journal->fd) != 0) {
        journal->broken = true; /* the system may have dropped the pages: another try would lie */
        return false;
    }
    journal->records += count;
    return true;
}

static void commit(spent_journal *journal, const waiting *batch, size_t count) {
    /* A rewrite holds the batch, too: it is in memory. */
    bool done = journal->broken || is_too_long(journal) ? rewrite(journal) : append(journal, batch, count);
    if (!done && !journal->failed) {
        log_line(&journal->log, MASQUE_LOG_ERROR, "spent-tokens",
                 "%.300s can't be written: %s; requests with tokens get 503 until it can", journal->path,
                 strerror(errno));
    } else if (done && journal->failed) {
        log_line(&journal->log, MASQUE_LOG_INFO, "spent-tokens", "%.300s can be written again", journal->path);
    }
    journal->failed = !done;
    for (size_t i = 0; i < count; i++) {
        verdicts_give(batch[i].verdicts, batch[i].token.tunnel, done ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_UNAVAILABLE);
    }
}

/* What waits, and its number; NULL: it is time to end. */
static waiting *take_queue(spent_journal *journal, size_t *count) {
    pthread_mutex_lock(&journal->lock);
    while (journal->count == 0 && !journal->closing) {
        pthread_cond_wait(&journal->wake, &journal->lock);
    }
    waiting *queue = journal->queue;
    *count = journal->count;
    journal->queue = NULL;
    journal->count = journal->capacity = 0;
    pthread_mutex_unlock(&journal->lock);
    return queue;
}

static void *run(void *argument) {
    spent_journal *journal = argument;
    size_t count;
    waiting *queue;
    while ((queue = take_queue(journal, &count)) != NULL) {
        for (size_t at = 0; at < count; at += BATCH_MAX) {
            commit(journal, queue + at, count - at < BATCH_MAX ? count - at : BATCH_MAX);
        }
        free(queue);
    }
    return NULL;
}

static bool enqueue(spent_journal *journal, const waiting *one) {
    if (journal->count == WAITING_MAX) {
        return false;
    }
    if (journal->count == journal->capacity) {
        size_t capacity = journal->capacity ? 2 * journal->capacity : 64;
        waiting *larger = realloc(journal->queue, capacity * sizeof *larger);
        if (!larger) {
            return false;
        }
        journal->queue = larger;
        journal->capacity = capacity;
    }
    journal->queue[journal->count++] = *one;
    return true;
}

static bool has_room(spent_journal *journal) {
    pthread_mutex_lock(&journal->lock);
    bool room = journal->count < WAITING_MAX;
    pthread_mutex_unlock(&journal->lock);
    return room;
}

masque_verdict spent_journal_spend(spent_journal *journal, const masque_spent_token *token, masque_unix_time now,
                                   mqd_verdicts *verdicts) {
    const waiting one = {.token = *token, .verdicts = verdicts};
    if (!has_room(journal)) {
        return MASQUE_AUTH_UNAVAILABLE; /* not spent, so it may come again */
    }
    masque_verdict verdict = spent_memory_spend(journal->memory, token, now);
    if (verdict != MASQUE_AUTH_ALLOW) {
        return verdict;
    }
    pthread_mutex_lock(&journal->lock);
    bool taken = enqueue(journal, &one);
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    return taken ? MASQUE_AUTH_PENDING : MASQUE_AUTH_UNAVAILABLE;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

typedef struct loading {
    uint64_t records;
    uint64_t damaged;
    uint64_t last_good; /* how many records there are up to the last that is whole */
} loading;

/* False: the tokens don't fit. */
static bool load_batch(const spent_journal *journal, const uint8_t *bytes, size_t count, loading *found) {
    masque_unix_time now = time(NULL);
    for (size_t i = 0; i < count; i++) {
        masque_spent_token token;
        found->records++;
        if (!spent_journal_read_record(bytes + i * SPENT_RECORD_LENGTH, &token)) {
            found->damaged++;
            continue;
        }
        found->last_good = found->records;
        bool over = token.not_after != 0 && token.not_after < now - SPENT_GRACE;
        if (!over && spent_memory_spend(journal->memory, &token, now) == MASQUE_AUTH_UNAVAILABLE) {
            return false;
        }
    }
    return true;
}

static bool load(const spent_journal *journal, loading *found, mqd_message *message) {
    uint8_t *buffer = malloc((size_t)BATCH_MAX * SPENT_RECORD_LENGTH);
    off_t at = SPENT_RECORD_LENGTH;
    ssize_t length;
    bool fits = buffer != NULL;
    while (fits && (length = pread(journal->fd, buffer, (size_t)BATCH_MAX * SPENT_RECORD_LENGTH, at)) >=
                       (ssize_t)SPENT_RECORD_LENGTH) {
        size_t count = (size_t)length / SPENT_RECORD_LENGTH;
        fits = load_batch(journal, buffer, count, found);
        at += (off_t)(count * SPENT_RECORD_LENGTH);
    }
    free(buffer);
    if (!fits) {
        say(message, "the tokens in %.300s don't fit into memory, or are more than auth.spent-tokens.most",
            journal->path);
    } else if (length < 0) {
        say(message, "can't read %.300s: %s", journal->path, strerror(errno));
        fits = false;
    }
    return fits;
}

/* What a crash tore is at the end; damage before whole records is another matter: it would let tokens in twice. */
static bool is_whole(const spent_journal *journal, const loading *found, mqd_message *message) {
    uint64_t torn = found->records - found->last_good;
    if (found->damaged > torn) {
        say(message,
            "%.300s is damaged before its end: %llu tokens of it could be used again; restore it, or move it away and "
            "let "
            "the issuer change its keys",
            journal->path, (unsigned long long)(found->damaged - torn));
        return false;
    }
    if (torn > 0) {
        log_line(&journal->log, MASQUE_LOG_INFO, "spent-tokens", "%.300s ends in %llu torn records, as after a crash",
                 journal->path, (unsigned long long)torn);
    }
    return true;
}

/* Opens and locks PATH; another process may have replaced the file while we came to the lock. */
static bool open_locked(spent_journal *journal, mqd_message *message) {
    for (int i = 0; i < OPEN_TRIES; i++) {
        struct stat ours, named;
        journal->fd = open(journal->path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND | O_NONBLOCK, 0600);
        if (journal->fd < 0) {
            say(message, "can't write %.300s: %s", journal->path, strerror(errno));
            return false;
        }
        if (flock(journal->fd, LOCK_EX | LOCK_NB) != 0) {
            break;
        }
        if (fstat(journal->fd, &ours) == 0 && stat(journal->path, &named) == 0 && ours.st_ino == named.st_ino &&
            ours.st_dev == named.st_dev) {
            return true;
        }
        close(journal->fd);
        journal->fd = -1;
    }
    say(message, "%.300s is in use by another masqueproxyd; each needs its own, or Redis for all", journal->path);
    return false;
}

static bool is_ours(const spent_journal *journal, mqd_message *message) {
    uint8_t head[sizeof HEAD];
    struct stat status;
    ssize_t length = pread(journal->fd, head, sizeof head, 0);
    bool empty = length >= 0 && length < (ssize_t)sizeof head && memcmp(head, HEAD, (size_t)length) == 0;
    bool ours = length == (ssize_t)sizeof head && memcmp(head, HEAD, sizeof head) == 0;
    bool regular = fstat(journal->fd, &status) == 0 && S_ISREG(status.st_mode);
    if (!regular || (!empty && !ours)) {
        say(message, "%.300s is no file of spent tokens; give another name, or none that exists", journal->path);
        return false;
    }
    if (empty) {
        log_line(&journal->log, MASQUE_LOG_WARNING, "spent-tokens",
                 "%.300s is new: which tokens were shown before nobody knows", journal->path);
    }
    return true;
}

static bool open_file(spent_journal *journal, mqd_message *message) {
    loading found = {0};
    if (!open_locked(journal, message) || !is_ours(journal, message) || !load(journal, &found, message) ||
        !is_whole(journal, &found, message)) {
        return false;
    }
    if (!rewrite(journal)) {
        say(message, "can't write %.300s, or a file beside it: %s", journal->path, strerror(errno));
        return false;
    }
    return true;
}

spent_journal *spent_journal_open(const char *path, spent_memory *memory, const log_options *log,
                                  mqd_message *message) {
    spent_journal *journal = calloc(1, sizeof *journal);
    if (!journal || !(journal->path = strdup(path))) {
        free(journal);
        say(message, "out of memory");
        return NULL;
    }
    journal->memory = memory;
    journal->log = *log;
    if (!open_file(journal, message)) {
        if (journal->fd >= 0) {
            close(journal->fd);
        }
        free(journal->path);
        free(journal);
        return NULL;
    }
    pthread_mutex_init(&journal->lock, NULL);
    pthread_cond_init(&journal->wake, NULL);
    if (pthread_create(&journal->thread, NULL, run, journal) != 0) {
        say(message, "no thread for %.300s", path);
        journal->closing = true;
        spent_journal_close(journal);
        return NULL;
    }
    return journal;
}

void spent_journal_close(spent_journal *journal) {
    if (!journal) {
        return;
    }
    if (!journal->closing) {
        pthread_mutex_lock(&journal->lock);
        journal->closing = true;
        pthread_cond_signal(&journal->wake);
        pthread_mutex_unlock(&journal->lock);
        pthread_join(journal->thread, NULL);
    }
    pthread_mutex_destroy(&journal->lock);
    pthread_cond_destroy(&journal->wake);
    close(journal->fd);
    free(journal->queue);
    free(journal->path);
    free(journal);
}
