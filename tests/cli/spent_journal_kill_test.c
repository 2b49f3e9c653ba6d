/* kill -9 before, in the middle of and behind each system call by which the file of spent tokens changes: whatever was
   allowed before is not allowed again. The calls are counted by the linker's --wrap. */
#include <masqueproxy/privacy_pass.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "spent/journal.h"
#include "unit.h"

#define OLD_TOKENS 5u
#define ALL_TOKENS 25u

static const log_options QUIET = {.level = MASQUE_LOG_ERROR};

/* --- the moment ------------------------------------------------------------------------------------ */

static atomic_uint moment;       /* of this process */
static unsigned moment_of_death; /* 0: it lives */

static void pass(void) {
    if (atomic_fetch_add(&moment, 1) + 1 == moment_of_death) {
        kill(getpid(), SIGKILL);
    }
}

ssize_t __real_write(int fd, const void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);

ssize_t __wrap_write(int fd, const void *bytes, size_t length) {
    pass();
    if (moment_of_death == atomic_load(&moment) + 1) {
        (void)!__real_write(fd, bytes, length / 2);
    }
    pass(); /* half of it is there */
    ssize_t written = __real_write(fd, bytes, length);
    pass();
    return written;
}

int __wrap_fdatasync(int fd) {
    pass();
    int result = __real_fdatasync(fd);
    pass();
    return result;
}

int __wrap_fsync(int fd) {
    pass();
    int result = __real_fsync(fd);
    pass();
    return result;
}

int __wrap_rename(const char *from, const char *to) {
    pass();
    int result = __real_rename(from, to);
    pass();
    return result;
}

int __wrap_ftruncate(int fd, off_t length) {
    pass();
    int result = __real_ftruncate(fd, length);
    pass();
    return result;
}

/* --- a process that spends ---------------------------------------------------------------------------- */

typedef struct spender {
    uv_loop_t loop;
    uv_async_t wake;
    mqd_verdicts verdicts;
    spent_memory *memory;
    spent_journal *journal;
} spender;

static void on_wake(uv_async_t *async) {
    uv_stop(async->loop);
}

static bool begin(spender *s, const char *path) {
    mqd_message message;
    uv_loop_init(&s->loop);
    uv_async_init(&s->loop, &s->wake, on_wake);
    verdicts_init(&s->verdicts);
    verdicts_attach(&s->verdicts, &s->wake);
    s->memory = spent_memory_new(1000, 77);
    s->journal = spent_journal_open(path, s->memory, &QUIET, &message);
    return s->journal != NULL;
}

static void end(spender *s) {
    spent_journal_close(s->journal);
    spent_memory_free(s->memory);
    verdicts_attach(&s->verdicts, NULL);
    uv_close((uv_handle_t *)&s->wake, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    verdicts_free(&s->verdicts);
}

static masque_verdict spend(spender *s, size_t number) {
    masque_spent_token token = {.tunnel = number, .not_after = time(NULL) + 3600};
    unit_random random = {.state = number};
    unit_random_fill(&random, token.id, sizeof token.id);
    masque_verdict verdict = spent_journal_spend(s->journal, &token, time(NULL), &s->verdicts);
    while (verdict == MASQUE_AUTH_PENDING) {
        size_t count;
        mqd_verdict *found = verdicts_take(&s->verdicts, &count);
        if (found) {
            verdict = found[0].verdict;
            free(found);
        } else {
            uv_run(&s->loop, UV_RUN_DEFAULT);
        }
    }
    return verdict;
}

/* Spends tokens FIRST to LAST and notes in ALLOWED, which outlives it, which were allowed. */
static void run(const char *path, size_t first, size_t last, volatile bool *allowed) {
    spender s;
    if (!begin(&s, path)) {
        _exit(1);
    }
    for (size_t i = first; i < last; i++) {
        allowed[i] = spend(&s, i) == MASQUE_AUTH_ALLOW;
    }
    end(&s);
    _exit(0);
}

/* True: it was killed at DEATH. */
static bool run_and_die(const char *path, unsigned death, volatile bool *allowed) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        atomic_store(&moment, 0);
        moment_of_death = death;
        run(path, OLD_TOKENS, ALL_TOKENS, allowed);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return killed;
}

static void make_old(const char *path, volatile bool *allowed) {
    spender s;
    assert_true(begin(&s, path));
    for (size_t i = 0; i < OLD_TOKENS; i++) {
        allowed[i] = spend(&s, i) == MASQUE_AUTH_ALLOW;
        assert_true(allowed[i]);
    }
    end(&s);
}

/* Also that what was not allowed is not lost. */
static void check_all(const char *path, const volatile bool *allowed, unsigned death) {
    spender s;
    assert_true(begin(&s, path));
    for (size_t i = 0; i < ALL_TOKENS; i++) {
        masque_verdict verdict = spend(&s, i);
        if (allowed[i] && verdict != MASQUE_AUTH_DENY) {
            fail_msg("token %zu is allowed again behind a kill at moment %u", i, death);
        }
        assert_true(verdict == MASQUE_AUTH_DENY || verdict == MASQUE_AUTH_ALLOW);
    }
    end(&s);
}

static void test_every_moment(void **state) {
    char folder[] = "/tmp/masque-kill-XXXXXX", path[64], fresh[80];
    volatile bool *allowed =
        mmap(NULL, ALL_TOKENS * sizeof *allowed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned death = 0;
    bool killed = true;
    (void)state;
    assert_ptr_not_equal(allowed, MAP_FAILED);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/spent.log", folder);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    while (killed) {
        memset((void *)(uintptr_t)allowed, 0, ALL_TOKENS * sizeof *allowed);
        make_old(path, allowed);
        killed = run_and_die(path, ++death, allowed);
        check_all(path, allowed, death);
        unlink(path);
        unlink(fresh);
    }
    /* The start alone writes a file anew, and each token is a write and a sync. */
    assert_true(death > 5 * (ALL_TOKENS - OLD_TOKENS));
    assert_int_equal(rmdir(folder), 0);
    munmap((void *)(uintptr_t)allowed, ALL_TOKENS * sizeof *allowed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_moment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
