/* The file of spent tokens: what was allowed stays spent over any cut of the file and any damaged byte, and only that;
   what is no such file, or another's, is left alone. */
#include <masqueproxy/privacy_pass.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "spent/journal.h"
#include "unit.h"

#define COUNT_OF_TOKENS 20u
#define FILE_SIZE ((1 + COUNT_OF_TOKENS) * SPENT_RECORD_LENGTH)

static const log_options QUIET = {.level = MASQUE_LOG_ERROR};

typedef struct world {
    char folder[64];
    char path[128];
    uv_loop_t loop;
    uv_async_t wake;
    mqd_verdicts verdicts;
    spent_memory *memory;
    spent_journal *journal;
    mqd_message message;
} world;

static void on_wake(uv_async_t *async) {
    uv_stop(async->loop);
}

static void open_world(world *w) {
    memset(w, 0, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/masque-journal-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->path, sizeof w->path, "%s/spent.log", w->folder);
    uv_loop_init(&w->loop);
    uv_async_init(&w->loop, &w->wake, on_wake);
    assert_true(verdicts_init(&w->verdicts));
    verdicts_attach(&w->verdicts, &w->wake);
}

static bool open_journal(world *w) {
    w->memory = spent_memory_new(1000000, 77);
    w->journal = spent_journal_open(w->path, w->memory, &QUIET, &w->message);
    if (!w->journal) {
        spent_memory_free(w->memory);
    }
    return w->journal != NULL;
}

static void close_journal(world *w) {
    spent_journal_close(w->journal);
    spent_memory_free(w->memory);
}

static void close_world(world *w) {
    char fresh[256];
    verdicts_attach(&w->verdicts, NULL);
    uv_close((uv_handle_t *)&w->wake, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
    verdicts_free(&w->verdicts);
    unlink(w->path);
    snprintf(fresh, sizeof fresh, "%s.new", w->path);
    unlink(fresh);
    assert_int_equal(rmdir(w->folder), 0);
}

static masque_spent_token token_of(size_t number) {
    masque_spent_token token = {.tunnel = number, .not_after = time(NULL) + 3600};
    unit_random random = {.state = number};
    unit_random_fill(&random, token.id, sizeof token.id);
    token.key_id[0] = (uint8_t)(number % 3);
    return token;
}

/* The verdict, also when it comes later. */
static masque_verdict spend(world *w, size_t number) {
    const masque_spent_token token = token_of(number);
    masque_verdict verdict = spent_journal_spend(w->journal, &token, time(NULL), &w->verdicts);
    while (verdict == MASQUE_AUTH_PENDING) {
        size_t count;
        mqd_verdict *found = verdicts_take(&w->verdicts, &count);
        if (found) {
            assert_int_equal(count, 1);
            assert_int_equal(found[0].tunnel, number);
            verdict = found[0].verdict;
            free(found);
        } else {
            uv_run(&w->loop, UV_RUN_DEFAULT);
        }
    }
    return verdict;
}

static void spend_all(world *w) {
    for (size_t i = 0; i < COUNT_OF_TOKENS; i++) {
        assert_int_equal(spend(w, i), MASQUE_AUTH_ALLOW);
    }
}

static void read_file(const world *w, uint8_t bytes[FILE_SIZE]) {
    FILE *file = fopen(w->path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, FILE_SIZE, file), FILE_SIZE);
    fclose(file);
}

/* A file with all tokens, closed as it should be; BYTES are what is in it. */
static void make_file(world *w, uint8_t bytes[FILE_SIZE]) {
    assert_true(open_journal(w));
    spend_all(w);
    close_journal(w);
    read_file(w, bytes);
}

static void write_file(const world *w, const void *bytes, size_t length) {
    FILE *file = fopen(w->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static void test_over_restarts(void **state) {
    world w;
    struct stat status;
    (void)state;
    open_world(&w);
    for (int round = 0; round < 3; round++) {
        assert_true(open_journal(&w));
        for (size_t i = 0; i < COUNT_OF_TOKENS; i++) {
            assert_int_equal(spend(&w, i), round == 0 ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY);
        }
        close_journal(&w);
    }
    assert_int_equal(stat(w.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, FILE_SIZE);
    close_world(&w);
}

/* As after a crash: whole records count, the torn one does not, and what follows is written behind them. */
static void test_cuts(void **state) {
    uint8_t bytes[FILE_SIZE];
    world w;
    (void)state;
    open_world(&w);
    make_file(&w, bytes);
    /* All around the bounds of records, and some in between: each costs several waits for the disk. */
    for (size_t length = 0; length <= sizeof bytes;
         length += length % SPENT_RECORD_LENGTH < 2 || length % SPENT_RECORD_LENGTH >= 38 ? 1 : 9) {
        size_t whole = length / SPENT_RECORD_LENGTH > 0 ? length / SPENT_RECORD_LENGTH - 1 : 0;
        write_file(&w, bytes, length);
        assert_true(open_journal(&w));
        assert_int_equal(spent_memory_size_of(w.memory).tokens, whole);
        assert_int_equal(spend(&w, 1000), MASQUE_AUTH_ALLOW);
        close_journal(&w);
        assert_true(open_journal(&w));
        assert_int_equal(spend(&w, 1000), MASQUE_AUTH_DENY);
        close_journal(&w);
    }
    close_world(&w);
}

/* A damaged record at the end is what a crash leaves; before it the file is refused, and stays as it is. */
static void test_every_byte(void **state) {
    uint8_t bytes[FILE_SIZE];
    world w;
    (void)state;
    open_world(&w);
    make_file(&w, bytes);
    for (size_t at = SPENT_RECORD_LENGTH; at < sizeof bytes; at += 37) {
        bytes[at] ^= 0x10;
        write_file(&w, bytes, sizeof bytes);
        if (at / SPENT_RECORD_LENGTH == COUNT_OF_TOKENS) {
            assert_true(open_journal(&w));
            assert_int_equal(spent_memory_size_of(w.memory).tokens, COUNT_OF_TOKENS - 1);
            close_journal(&w);
        } else {
            uint8_t after[FILE_SIZE];
            assert_false(open_journal(&w));
            assert_non_null(strstr(w.message.text, "is damaged before its end: 1 tokens"));
            read_file(&w, after);
            assert_memory_equal(after, bytes, sizeof after);
        }
        bytes[at] ^= 0x10;
    }
    close_world(&w);
}

static void test_not_ours(void **state) {
    world w;
    (void)state;
    open_world(&w);
    write_file(&w, "root:x:0:0:root:/root:/bin/sh\n and more than a head has in it", 60);
    assert_false(open_journal(&w));
    assert_non_null(strstr(w.message.text, "is no file of spent tokens"));
    unlink(w.path);
    assert_true(open_journal(&w));
    world other = w;
    assert_false(open_journal(&other));
    assert_non_null(strstr(other.message.text, "in use by another"));
    close_journal(&w);
    snprintf(other.path, sizeof other.path, "%s/none/spent.log", w.folder);
    assert_false(open_journal(&other));
    assert_non_null(strstr(other.message.text, "can't write"));
    close_world(&w);
}

/* The disk is full: nothing is allowed, nothing is forgotten, and it goes on when there is room. */
static void test_full_disk(void **state) {
    struct rlimit before, small;
    world w;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    open_world(&w);
    assert_true(open_journal(&w));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 5 * SPENT_RECORD_LENGTH + 13;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(spend(&w, i), i < 4 ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_UNAVAILABLE);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    for (size_t i = 0; i < 12; i++) {
        /* Those that met the full disk are spent as well: nobody knows how far they came. */
        assert_int_equal(spend(&w, i), i < 8 ? MASQUE_AUTH_DENY : MASQUE_AUTH_ALLOW);
    }
    close_journal(&w);
    assert_true(open_journal(&w));
    for (size_t i = 8; i < 12; i++) {
        assert_int_equal(spend(&w, i), MASQUE_AUTH_DENY);
    }
    close_journal(&w);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_over_restarts), cmocka_unit_test(test_cuts),      cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_not_ours),      cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
