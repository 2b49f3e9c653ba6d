/*
 * main.c: masqueproxyd. Reads what it was told, binds, starts workers, and then
 * only waits for signals: SIGHUP reloads, SIGTERM drains, SIGINT ends.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic_auth.h"
#include "geo/report.h"
#include "http/client.h"
#include "listeners.h"
#include "options.h"
#include "private_tokens.h"
#include "proxy_config.h"
#include "quickstart.h"
#include "random.h"
#include "service.h"
#include "socket.h"
#include "tokens/roles.h"
#include "worker.h"

#define DIRECTORIES_AGAIN_MS 10000u

typedef struct mqd_program {
    mqd_settings settings; /* of the start */
    mqd_settings reloaded; /* of the last good reload */
    mqd_settings *latest;  /* one of both */
    int argument_count;
    char **arguments;
    log_options log;
    uint8_t ticket_key[MASQUE_TICKET_KEY_LENGTH];
    spent_store *tokens;            /* that were shown */
    token_directories *directories; /* of issuers; NULL before the start */
    uv_async_t directories_changed;
    uv_timer_t directories_again;
    masque_config *config;
    mqd_listeners listeners;
    token_roles roles;
    mqd_handover *handovers; /* one for each worker */
    mqd_worker *workers;
    unsigned worker_count;
    uv_loop_t loop;
    uv_signal_t hangup;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_timer_t drain_end;
    uv_async_t worker_done;
    bool draining;
} mqd_program;

static int fail(const mqd_message *message) {
    fprintf(stderr, "masqueproxyd: %s\n", message->text);
    return 1;
}

/* --- settings --------------------------------------------------------------------- */

static bool complete_settings(mqd_settings *settings, mqd_message *message) {
    if (settings_only_report(settings)) {
        return true;
    }
    if (settings->quickstart && !quickstart_prepare(settings, message)) {
        return false;
    }
    if (!service_use_passed_addresses(settings, message)) {
        return false;
    }
    if (settings->listener_count == 0 && !token_roles_wanted(settings)) {
        say(message, "nowhere to listen: give `listen` in the configuration file, or --listen ADDR:PORT");
        return false;
    }
    if (settings->listener_count == 0) {
        settings->workers = 0; /* issuer or attester alone */
    } else if (settings->workers == 0) {
        unsigned processors = uv_available_parallelism();
        settings->workers = processors < WORKERS_MAX ? processors : WORKERS_MAX;
    }
    return true;
}

static options_result read_settings(mqd_program *program, mqd_settings *settings, mqd_message *message) {
    settings_init(settings);
    options_result result = options_read(settings, program->argument_count, program->arguments, message);
    if (result == OPTIONS_RUN && !complete_settings(settings, message)) {
        return OPTIONS_WRONG;
    }
    return result;
}

/* --- signals -------------------------------------------------------------------------- */

static bool same_listeners(const mqd_settings *a, const mqd_settings *b) {
    bool same = a->listener_count == b->listener_count;
    for (size_t i = 0; same && i < a->listener_count; i++) {
        const mqd_listener *one = &a->listeners[i];
        const mqd_listener *other = &b->listeners[i];
        same = masque_address_same_ip(&one->address, &other->address) && one->address.port == other->address.port &&
               one->protocols == other->protocols;
    }
    return same;
}

static bool same_text(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void warn_of_fixed(const mqd_program *program, const mqd_settings *next, bool same_sockets) {
    const mqd_settings *now = &program->settings;
    const struct {
        const char *key;
        bool same;
    } rows[] = {
        {"listen", same_sockets},
        {"workers", now->workers == next->workers},
        {"geo.freebind", now->geo.source.freebind == next->geo.source.freebind},
        {"geo.port-range", now->geo.source.port_first == next->geo.source.port_first &&
                               now->geo.source.port_last == next->geo.source.port_last},
        {"dns", same_text(now->dns_servers, next->dns_servers)},
        {"log", now->log_level == next->log_level && now->log_format == next->log_format},
        {"auth.spent-tokens", same_text(now->spent.file, next->spent.file) &&
                                  same_text(now->spent.redis_url, next->spent.redis_url) &&
                                  now->spent.most == next->spent.most},
        {"user", same_text(now->user, next->user)},
    };
    char changed[128] = "";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t at = strlen(changed);
        snprintf(changed + at, sizeof changed - at, "%s%s", !rows[i].same && at ? ", " : "",
                 rows[i].same ? "" : rows[i].key);
    }
    if (changed[0]) {
        log_line(&program->log, MASQUE_LOG_WARNING, "reload", "these changes take effect after a restart: %s", changed);
    }
}

static void warn_of_times(const mqd_program *program, const mqd_settings *settings) {
    mqd_message message;
    if (settings->listener_count > 0 && private_tokens_are_over(settings, &message)) {
        log_line(&program->log, MASQUE_LOG_WARNING, "private-token", "%s", message.text);
    }
    if (settings->listener_count > 0 && proxy_config_has_expired(settings, &message)) {
        log_line(&program->log, MASQUE_LOG_WARNING, "certificate", "%s", message.text);
    }
}

/* Sockets stay as they are until a restart. Each has, by its number, what NEXT says of its address; one that NEXT
   doesn't name has what it had. What is new has no socket, and so no number yet. */
static bool number_listeners(const mqd_program *program, mqd_settings *next, mqd_message *message) {
    const mqd_settings *running = &program->settings;
    for (size_t i = 0; i < running->listener_count; i++) {
        const masque_address *address = &running->listeners[i].address;
        const mqd_listener *before = settings_find_listener(program->latest, address);
        mqd_listener *listener = settings_find_listener(next, address);
        if (!listener && (!before || !settings_copy_listener(next, before))) {
            say(message, "more than %d listening addresses, with those that end after a restart", LISTENERS_MAX);
            return false;
        }
        listener = settings_find_listener(next, address);
        listener->number = (unsigned)i + 1;
    }
    return true;
}

/* *CONFIG stays NULL without listeners: issuer or attester alone. */
static bool make_config(const mqd_program *program, const mqd_settings *settings, masque_config **config,
                        mqd_message *message) {
    *config = NULL;
    if (settings->listener_count > 0) {
        *config = proxy_config_new(settings, program->ticket_key, program->tokens, program->directories,
                                   program->config, &program->log, message);
    }
    return *config || settings->listener_count == 0;
}

static void use_config(mqd_program *program, masque_config *config) {
    for (unsigned i = 0; i < program->worker_count && config; i++) {
        worker_set_config(&program->workers[i], config);
    }
    masque_config_release(program->config);
    program->config = config;
}

static void on_directories_again(uv_timer_t *timer) {
    mqd_program *program = timer->data;
    uv_async_send(&program->directories_changed);
}

/* Keys came or went: all as it was read last, with them. Files that can't be read now may be in a moment. */
static void on_directories_changed(uv_async_t *async) {
    mqd_program *program = async->data;
    mqd_message message;
    masque_config *config;
    if (program->draining) {
        return;
    }
    if (make_config(program, program->latest, &config, &message)) {
        use_config(program, config);
        log_line(&program->log, MASQUE_LOG_INFO, "issuer", "keys of a directory have changed, and are in force");
    } else {
        uv_timer_start(&program->directories_again, on_directories_again, DIRECTORIES_AGAIN_MS, 0);
        log_line(&program->log, MASQUE_LOG_ERROR, "reload-failed", "the old configuration stays: %s", message.text);
    }
}

static bool read_again(mqd_program *program, mqd_settings *next, masque_config **config, bool *same_sockets,
                       mqd_message *message) {
    bool read = read_settings(program, next, message) == OPTIONS_RUN && service_user_exists(next, message);
    *same_sockets = read && same_listeners(&program->settings, next);
    if (!read || !number_listeners(program, next, message) || !make_config(program, next, config, message)) {
        return false;
    }
    if (!token_roles_serve(&program->roles, next, &program->log, message)) {
        masque_config_release(*config);
        return false;
    }
    return true;
}

static void on_hangup(uv_signal_t *signal, int number) {
    mqd_program *program = signal->data;
    mqd_settings next;
    mqd_message message;
    masque_config *config;
    (void)number;
    if (program->draining) {
        return;
    }
    service_notify("RELOADING=1");
    bool same_sockets;
    if (!read_again(program, &next, &config, &same_sockets, &message)) {
        log_line(&program->log, MASQUE_LOG_ERROR, "reload-failed", "the old configuration stays: %s", message.text);
    } else {
        warn_of_fixed(program, &next, same_sockets);
        warn_of_times(program, &next);
        program->settings.drain_timeout_ms = next.drain_timeout_ms;
        use_config(program, config);
        token_directories_set(program->directories, &next);
        mqd_settings old = program->reloaded;
        program->reloaded = next;
        program->latest = &program->reloaded;
        next = old;
        log_line(&program->log, MASQUE_LOG_INFO, "reload", "new connections use the new configuration");
    }
    settings_free(&next);
    service_notify("READY=1");
}

static void stop_workers(mqd_program *program) {
    for (unsigned i = 0; i < program->worker_count; i++) {
        worker_stop(&program->workers[i]);
    }
    if (program->worker_count == 0) {
        uv_stop(&program->loop);
    }
}

static void on_drain_end(uv_timer_t *timer) {
    mqd_program *program = timer->data;
    log_line(&program->log, MASQUE_LOG_WARNING, "drain", "the drain timeout passed; open tunnels are closed");
    stop_workers(program);
}

static void on_terminate(uv_signal_t *signal, int number) {
    mqd_program *program = signal->data;
    (void)number;
    if (program->draining) {
        return;
    }
    program->draining = true;
    service_notify("STOPPING=1");
    log_line(&program->log, MASQUE_LOG_INFO, "drain", "no new connections; live tunnels may go on for %g s",
             (double)program->settings.drain_timeout_ms / 1000);
    if (program->worker_count == 0) {
        uv_stop(&program->loop);
    }
    for (unsigned i = 0; i < program->worker_count; i++) {
        worker_drain(&program->workers[i]);
    }
    uv_timer_start(&program->drain_end, on_drain_end, program->settings.drain_timeout_ms, 0);
}

static void on_interrupt(uv_signal_t *signal, int number) {
    (void)number;
    stop_workers(signal->data);
}

static void on_worker_done(uv_async_t *async) {
    mqd_program *program = async->data;
    for (unsigned i = 0; i < program->worker_count; i++) {
        if (!atomic_load(&program->workers[i].done)) {
            return;
        }
    }
    uv_stop(&program->loop);
}

static void watch_signals(mqd_program *program) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write */
    uv_loop_init(&program->loop);
    uv_signal_init(&program->loop, &program->hangup);
    uv_signal_init(&program->loop, &program->terminate);
    uv_signal_init(&program->loop, &program->interrupt);
    uv_timer_init(&program->loop, &program->drain_end);
    uv_async_init(&program->loop, &program->worker_done, on_worker_done);
    uv_async_init(&program->loop, &program->directories_changed, on_directories_changed);
    uv_timer_init(&program->loop, &program->directories_again);
    program->directories_changed.data = program->directories_again.data = program;
    program->hangup.data = program->terminate.data = program->interrupt.data = program;
    program->drain_end.data = program->worker_done.data = program;
    uv_signal_start(&program->hangup, on_hangup, SIGHUP);
    uv_signal_start(&program->terminate, on_terminate, SIGTERM);
    uv_signal_start(&program->interrupt, on_interrupt, SIGINT);
}

/* --- running ------------------------------------------------------------------------------ */

static bool start_workers(mqd_program *program, mqd_message *message) {
    program->workers = calloc(program->worker_count, sizeof *program->workers);
    program->handovers = calloc(program->worker_count, sizeof *program->handovers);
    bool ready = program->workers && program->handovers;
    /* All before any worker runs: each may give to each. */
    for (unsigned i = 0; i < program->worker_count && ready; i++) {
        ready = handover_init(&program->handovers[i]);
    }
    if (!ready) {
        say(message, "out of memory");
        return false;
    }
    for (unsigned i = 0; i < program->worker_count; i++) {
        const worker_setup setup = {
            .number = i,
            .config = program->config,
            .fds = program->listeners.fds[i],
            .udp_fds = program->listeners.udp_fds[i],
            .protocols = program->listeners.protocols,
            .fd_count = program->listeners.count,
            .handovers = program->handovers,
            .worker_count = program->worker_count,
            .server_number = program->settings.server_number,
            .source = program->settings.geo.source,
            .dns_servers = program->settings.dns_servers,
            .log = program->log,
            .tell_done = &program->worker_done,
        };
        if (!worker_start(&program->workers[i], &setup, message)) {
            return false;
        }
    }
    return true;
}

static void warn_of_build(const mqd_program *program) {
    masque_version_info info = masque_version();
    if (!info.crypto_accelerated) {
        log_line(&program->log, MASQUE_LOG_WARNING, "slow-crypto",
                 "AES-GCM runs in C, many times slower; build wolfSSL with --enable-intelasm or --enable-armasm");
    }
    if (info.too_old) {
        log_line(&program->log, MASQUE_LOG_WARNING, "old-library", "%s and has known holes", info.too_old);
    }
    char workers[40] = "no proxy";
    if (program->worker_count > 0) {
        snprintf(workers, sizeof workers, "%u worker%s", program->worker_count, program->worker_count == 1 ? "" : "s");
    }
    log_line(&program->log, MASQUE_LOG_INFO, "start", "masqueproxyd %s, wolfSSL %s (AES-GCM: %s), nghttp2 %s, %s",
             info.masqueproxy, info.wolfssl, info.crypto_path, info.nghttp2, workers);
}

static void warn_if_unreadable(const mqd_program *program, const char *path) {
    if (path && access(path, R_OK) != 0) {
        log_line(&program->log, MASQUE_LOG_WARNING, "unreadable-file",
                 "user %.60s can't read %.300s, so SIGHUP would keep the old configuration", program->settings.user,
                 path);
    }
}

/* Read as root, but read again as another user. */
static void warn_of_unreadable(const mqd_program *program) {
    const mqd_settings *settings = &program->settings;
    if (!settings->user) {
        return;
    }
    warn_if_unreadable(program, settings->config_file);
    warn_if_unreadable(program, settings->certificate.path);
    warn_if_unreadable(program, settings->private_key.path);
    for (size_t i = 0; i < settings->listener_count; i++) {
        warn_if_unreadable(program, settings->listeners[i].certificate.path);
        warn_if_unreadable(program, settings->listeners[i].private_key.path);
    }
    for (size_t i = 0; i < settings->preshared_count; i++) {
        warn_if_unreadable(program, settings->preshared[i].file.path);
    }
    for (size_t i = 0; i < settings->geo.pool_count; i++) {
        warn_if_unreadable(program, settings->geo.pools[i].path);
    }
    for (size_t i = 0; i < settings->geo.hint_key_count; i++) {
        warn_if_unreadable(program, settings->geo.hint_keys[i].file.path);
    }
    warn_if_unreadable(program, settings->geo.cities.path);
    warn_if_unreadable(program, settings->geo.locations.path);
    warn_if_unreadable(program, settings->basic.path);
    warn_if_unreadable(program, settings->client_ca.path);
    warn_if_unreadable(program, settings->client_crl.path);
    for (size_t i = 0; i < settings->token_key_count; i++) {
        warn_if_unreadable(program, settings->token_keys[i].private_key.path);
        warn_if_unreadable(program, settings->token_keys[i].redemption_secret.path);
    }
}

static bool start(mqd_program *program, mqd_message *message) {
    const mqd_settings *settings = &program->settings;
    program->worker_count = settings->workers;
    socket_prepare_source(&program->settings.geo.source);
    if (!listeners_open(&program->listeners, settings, program->worker_count, message) ||
        !token_roles_bind(&program->roles, settings, message) ||
        (settings->quickstart && !quickstart_start_origin(settings, message)) ||
        !service_drop_privileges(settings, message) || !spent_store_open(program->tokens, settings, message) ||
        !token_roles_serve(&program->roles, settings, &program->log, message)) {
        return false;
    }
    watch_signals(program);
    program->directories = token_directories_new(&program->log, &program->directories_changed);
    if (!program->directories) {
        say(message, "out of memory, or no thread");
        return false;
    }
    token_directories_set(program->directories, settings);
    return start_workers(program, message);
}

static void clean_up(mqd_program *program) {
    for (unsigned i = 0; i < program->worker_count; i++) {
        worker_join(&program->workers[i]);
    }
    for (unsigned i = 0; i < program->worker_count; i++) {
        handover_free(&program->handovers[i]);
    }
    token_directories_free(program->directories);
    token_roles_stop(&program->roles);
    masque_config_release(program->config);
    basic_auth_wait(); /* its threads give verdicts until then */
    spent_store_free(program->tokens);
    for (unsigned i = 0; i < program->worker_count; i++) {
        verdicts_free(&program->workers[i].verdicts);
    }
    free(program->handovers);
    settings_free(&program->settings);
    settings_free(&program->reloaded);
    explicit_bzero(program->ticket_key, sizeof program->ticket_key);
    free(program->workers);
}

static void print_ready(const mqd_program *program) {
    fputs("ready: listening on", stdout);
    listeners_print(&program->listeners);
    token_roles_print(&program->roles);
    putchar('\n');
    fflush(stdout);
}

static int run(mqd_program *program) {
    mqd_message message;
    if (!start(program, &message)) {
        return fail(&message);
    }
    warn_of_build(program);
    warn_of_times(program, &program->settings);
    warn_of_unreadable(program);
    print_ready(program);
    service_notify("READY=1");
    if (program->settings.quickstart) {
        quickstart_print(&program->settings);
    }
    uv_run(&program->loop, UV_RUN_DEFAULT);
    clean_up(program);
    return 0;
}

int main(int count, char **arguments) {
    static mqd_program program; /* too large for some stacks */
    mqd_message message;
    program.latest = &program.settings;
    program.argument_count = count;
    program.arguments = arguments;
    service_hide_memory();
    switch (read_settings(&program, &program.settings, &message)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_WRONG:
        return fail(&message);
    case OPTIONS_RUN:
        break;
    }
    program.log = (log_options){.level = program.settings.log_level, .format = program.settings.log_format};
    if (settings_only_report(&program.settings)) {
        return report_pools(&program.settings, &program.log);
    }
    system_random(NULL, program.ticket_key, sizeof program.ticket_key);
    http_client_init();
    for (size_t i = 0; i < program.settings.listener_count; i++) {
        program.settings.listeners[i].number = (unsigned)i + 1;
    }
    program.tokens = spent_store_new(&program.settings, &program.log, &message);
    if (!program.tokens || !make_config(&program, &program.settings, &program.config, &message)) {
        return fail(&message);
    }
    if (program.settings.test_config) {
        if (!service_user_exists(&program.settings, &message) || !token_roles_check(&program.settings, &message) ||
            !spent_store_check(&program.settings, &message)) {
            return fail(&message);
        }
        if (program.settings.listener_count > 0 && proxy_config_has_expired(&program.settings, &message)) {
            printf("warning: %s\n", message.text);
        }
        if (private_tokens_are_over(&program.settings, &message)) {
            printf("warning: %s\n", message.text);
        }
        puts("the configuration is good");
        return 0;
    }
    return run(&program);
}
