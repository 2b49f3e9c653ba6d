#include "options.h"

#include <ares.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "config_file.h"

typedef struct option_row {
    const char *name;
    const char *argument; /* NULL: none */
    const char *help;
    bool (*take)(mqd_settings *settings, const char *value, mqd_message *message);
} option_row;

/* Was read before all other flags, so that they win over it. */
static bool take_config(mqd_settings *settings, const char *value, mqd_message *message) {
    if (strcmp(settings->config_file, value) != 0) {
        say(message, "there can be one configuration file; %.100s was given already", settings->config_file);
        return false;
    }
    return true;
}

static bool take_quickstart(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    settings->quickstart = true;
    return true;
}

static bool take_listen(mqd_settings *settings, const char *value, mqd_message *message) {
    return settings_add_listener(settings, value, PROTOCOLS_DEFAULT, message);
}

static bool take_certificate(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)message;
    settings_set_file(&settings->certificate, value, "--certificate");
    return true;
}

static bool take_private_key(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)message;
    settings_set_file(&settings->private_key, value, "--private-key");
    return true;
}

static bool take_preshared(mqd_settings *settings, const char *value, mqd_message *message) {
    char name[40];
    snprintf(name, sizeof name, "command-line-%zu", settings->preshared_count + 1);
    if (!settings_add_preshared(settings, name, message)) {
        return false;
    }
    settings_set_key_file(settings, value, "--preshared-key-file");
    return true;
}

static bool take_allow(mqd_settings *settings, const char *value, mqd_message *message) {
    return settings_add_rule(settings, true, value, message);
}

static bool take_workers(mqd_settings *settings, const char *value, mqd_message *message) {
    char *end;
    unsigned long count = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || count < 1 || count > WORKERS_MAX) {
        say(message, "“%.40s” is no number of workers; expected 1 to %d", value, WORKERS_MAX);
        return false;
    }
    settings->workers = (unsigned)count;
    return true;
}

static bool take_test_config(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    settings->test_config = true;
    return true;
}

static bool take_pools(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)message;
    settings_add_pools(settings, value, "--pools");
    return true;
}

static bool take_lenient(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    settings->geo.lenient = true;
    return true;
}

static bool take_explain(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)message;
    settings_set_text(&settings->explain, value);
    return true;
}

static bool take_target(mqd_settings *settings, const char *value, mqd_message *message) {
    if (strcmp(value, "v4") != 0 && strcmp(value, "v6") != 0) {
        say(message, "“%.40s” is no family of targets; expected v4 or v6", value);
        return false;
    }
    settings_set_text(&settings->explain_target, value);
    return true;
}

static bool take_check_pools(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    settings->check_pools = true;
    return true;
}

static bool take_publish(mqd_settings *settings, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    settings->publish_geofeed = true;
    return true;
}

static bool take_log_level(mqd_settings *settings, const char *value, mqd_message *message) {
    return settings_set_log_level(settings, value, message);
}

static const option_row ROWS[] = {
    {"config", "FILE", "run from a YAML file; other flags add to it or win over it", take_config},
    {"quickstart", NULL, "no file: make a CA, a certificate and a key, and print what to try", take_quickstart},
    {"listen", "ADDR:PORT", "listen there, e.g. [::]:443; may be repeated", take_listen},
    {"certificate", "FILE", "certificate chain, PEM", take_certificate},
    {"private-key", "FILE", "its private key, PEM", take_private_key},
    {"preshared-key-file", "FILE", "a pre-shared key; or MASQUE_PRESHARED_KEY in the environment", take_preshared},
    {"allow-target", "RULE", "allow targets that are not public, e.g. 127.0.0.0/8; may be repeated", take_allow},
    {"workers", "N", "threads, each with its own loop; default: processors", take_workers},
    {"pools", "FILE", "a geofeed of our addresses: clients leave from where they are; may be repeated", take_pools},
    {"lenient", NULL, "pass over their lines that can't be used", take_lenient},
    {"explain-egress", "PLACE", "print where a client of xn76c-JP, or one of \"\", leaves and why", take_explain},
    {"target", "v4|v6", "with it: for targets of that family alone", take_target},
    {"check-pools", NULL, "print what is wrong with the pools on this machine", take_check_pools},
    {"publish-geofeed", NULL, "print the geofeed (RFC 8805) for others", take_publish},
    {"test-config", NULL, "read everything, report, exit with 0 or 1", take_test_config},
    {"log-level", "LEVEL", "error, warning, info or debug", take_log_level},
    {"version", NULL, "versions of ourselves and of what we are linked with", NULL},
    {"help", NULL, "this text", NULL},
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])

static void print_help(void) {
    puts("masqueproxyd: a privacy proxy, CONNECT and CONNECT-UDP over HTTP/3, HTTP/2 and HTTP/1.1\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", ROWS[i].name, ROWS[i].argument ? " " : "",
                 ROWS[i].argument ? ROWS[i].argument : "");
        printf("  %-28s %s\n", left, ROWS[i].help);
    }
    puts("\nSIGHUP reloads, SIGTERM drains, SIGINT exits at once. masqueproxyd(8) has the configuration's keys.");
}

static void print_version(void) {
    masque_version_info info = masque_version();
    printf("masqueproxyd %s\n  wolfSSL %s (AES-GCM: %s)\n  nghttp2 %s\n  ngtcp2 %s\n  nghttp3 %s\n", info.masqueproxy,
           info.wolfssl, info.crypto_path, info.nghttp2, info.ngtcp2, info.nghttp3);
    printf("  libuv %s\n  c-ares %s\n", uv_version_string(), ares_version(NULL));
    if (info.too_old) {
        printf("  warning: %s and has known holes\n", info.too_old);
    }
}

static void make_long_options(struct option options[ROW_COUNT + 1]) {
    memset(options, 0, (ROW_COUNT + 1) * sizeof *options);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        options[i] = (struct option){
            .name = ROWS[i].name, .has_arg = ROWS[i].argument ? required_argument : no_argument, .val = (int)i + 1};
    }
}

/* Flags win over the file, so the file comes first. */
static bool read_config_first(mqd_settings *settings, int count, char **arguments, const struct option *options,
                              mqd_message *message) {
    int chosen;
    while ((chosen = getopt_long(count, arguments, ":", options, NULL)) != -1) {
        bool is_config = chosen >= 1 && chosen <= (int)ROW_COUNT && ROWS[chosen - 1].take == take_config;
        if (is_config && !settings->config_file) {
            settings_set_text(&settings->config_file, optarg);
            if (!config_file_read(settings, optarg, message)) {
                return false;
            }
        }
    }
    return true;
}

static bool take_environment(mqd_settings *settings, mqd_message *message) {
    const char *key = getenv("MASQUE_PRESHARED_KEY");
    if (!key) {
        return true;
    }
    if (key[0] == 0) {
        say(message, "MASQUE_PRESHARED_KEY is empty: unset it, or give it a key");
        return false;
    }
    if (!settings_add_preshared(settings, "environment", message)) {
        return false;
    }
    settings_set_key_value(settings, key);
    return true;
}

static void complain_of_flag(int chosen, char **arguments, mqd_message *message) {
    if (chosen == ':') {
        say(message, "%.100s: needs a value; --help lists the flags", arguments[optind - 1]);
    } else {
        say(message, "%.100s: unknown flag; --help lists the flags", arguments[optind - 1]);
    }
}

options_result options_read(mqd_settings *settings, int count, char **arguments, mqd_message *message) {
    struct option options[ROW_COUNT + 1];
    make_long_options(options);
    opterr = 0;
    optind = 0; /* glibc: begin anew, also after a reload */
    if (!read_config_first(settings, count, arguments, options, message)) {
        return OPTIONS_WRONG;
    }
    optind = 0;
    int chosen;
    while ((chosen = getopt_long(count, arguments, ":", options, NULL)) != -1) {
        if (chosen < 1 || chosen > (int)ROW_COUNT) {
            complain_of_flag(chosen, arguments, message);
            return OPTIONS_WRONG;
        }
        const option_row *row = &ROWS[chosen - 1];
        if (!row->take) {
            (strcmp(row->name, "help") == 0 ? print_help : print_version)();
            return OPTIONS_DONE;
        }
        struct mqd_message inner;
        if (!row->take(settings, optarg, &inner)) {
            say(message, "--%s: %.400s", row->name, inner.text);
            return OPTIONS_WRONG;
        }
    }
    if (settings->quickstart && (settings->config_file || settings->certificate.path || settings->private_key.path)) {
        say(message, "--quickstart makes its own certificate and takes no file; leave --config, --certificate and "
                     "--private-key out");
        return OPTIONS_WRONG;
    }
    if (settings->quickstart && settings->test_config) {
        say(message, "--quickstart has no configuration to test");
        return OPTIONS_WRONG;
    }
    if (settings->explain_target && !settings->explain) {
        say(message, "--target goes with --explain-egress");
        return OPTIONS_WRONG;
    }
    if (settings_only_report(settings) && settings->geo.pool_count == 0) {
        say(message, "there are no pools: give geo.pools in the configuration file, or --pools FILE");
        return OPTIONS_WRONG;
    }
    if (optind < count) {
        say(message, "%.100s: unexpected argument; --help lists the flags", arguments[optind]);
        return OPTIONS_WRONG;
    }
    return take_environment(settings, message) ? OPTIONS_RUN : OPTIONS_WRONG;
}
