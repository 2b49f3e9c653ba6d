/* probe/trace.c: masqueproxy trace-origin, an origin that shows from where clients leave (trace_origin.h). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "files.h"
#include "random.h"
#include "socket.h"
#include "trace_origin.h"

typedef struct trace_options {
    int fds[TRACE_LISTENERS_MAX];
    size_t count;
    const char *certificate, *private_key, *geofeed;
} trace_options;

static const struct option FLAGS[] = {
    {"listen", required_argument, NULL, 'l'},
    {"certificate", required_argument, NULL, 'c'},
    {"private-key", required_argument, NULL, 'k'},
    {"geofeed", required_argument, NULL, 'g'},
    {NULL, 0, NULL, 0},
};

void command_trace_print(void) {
    puts("\nFlags of masqueproxy trace-origin:\n"
         "  --listen ADDR:PORT           serve https://ADDR:PORT/cdn-cgi/trace; may be repeated\n"
         "  --certificate FILE           certificate chain, PEM\n"
         "  --private-key FILE           of that certificate, PEM\n"
         "  --geofeed FILE               where addresses are registered (RFC 8805), for loc=; unless told it is XX");
}

static bool listen_at(trace_options *options, const char *text, mqd_message *message) {
    masque_address address;
    char printed[MASQUE_ADDRESS_TEXT_MAX];
    if (options->count == TRACE_LISTENERS_MAX) {
        say(message, "at most %d listeners", TRACE_LISTENERS_MAX);
        return false;
    }
    int fd = parse_endpoint(text, &address, message) ? socket_listen(&address, false, message) : -1;
    if (fd < 0) {
        return false;
    }
    options->fds[options->count++] = fd;
    masque_address_format(&address, printed, sizeof printed);
    printf("https://%s/cdn-cgi/trace\n", printed);
    return true;
}

typedef struct feed_problem {
    const char *path;
    mqd_message *message;
    bool told;
} feed_problem;

static void on_problem(void *context, const masque_geo_problem *problem) {
    feed_problem *first = context;
    if (!first->told) {
        say(first->message, "%.250s:%u: %.200s", first->path, problem->line, problem->why);
        first->told = true;
    }
}

static masque_pools *read_geofeed(const char *path, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random};
    feed_problem problem = {.path = path, .message = message};
    const masque_geo_reader reader = {.report = on_problem, .context = &problem};
    size_t length;
    char *text = read_large_file(path, &length, message);
    masque_pools *pools = text ? masque_pools_new(&runtime) : NULL;
    if (text && !pools) {
        say(message, "out of memory");
    }
    int error = pools ? masque_pools_add_geofeed(pools, text, length, &reader) : 0;
    error = error || !pools ? error : masque_pools_seal(pools, &reader);
    free(text);
    if (error) {
        if (!problem.told) {
            say(message, "%.250s: %s", path, masque_error_text(error));
        }
        masque_pools_release(pools);
        return NULL;
    }
    return pools;
}

static bool read_flags(trace_options *options, int argc, char **argv, mqd_message *message) {
    int chosen;
    opterr = 0;
    optind = 0;
    while ((chosen = getopt_long(argc, argv, ":", FLAGS, NULL)) != -1) {
        switch (chosen) {
        case 'l':
            if (!listen_at(options, optarg, message)) {
                return false;
            }
            break;
        case 'c':
            options->certificate = optarg;
            break;
        case 'k':
            options->private_key = optarg;
            break;
        case 'g':
            options->geofeed = optarg;
            break;
        default:
            say(message, "%.100s: %s; see masqueproxy --help", argv[optind - 1],
                chosen == ':' ? "needs a value" : "unknown flag");
            return false;
        }
    }
    if (optind < argc || options->count == 0 || !options->certificate || !options->private_key) {
        say(message, "--listen, --certificate and --private-key are mandatory, and nothing but flags is expected");
        return false;
    }
    return true;
}

probe_exit command_trace(int argc, char **argv) {
    trace_options options = {.count = 0};
    mqd_message message;
    bool good = read_flags(&options, argc, argv, &message);
    masque_pools *pools = good && options.geofeed ? read_geofeed(options.geofeed, &message) : NULL;
    good = good && (pools || !options.geofeed);
    trace_origin *origin = good ? trace_origin_new(options.certificate, options.private_key, pools, &message) : NULL;
    if (!origin) {
        fprintf(stderr, "masqueproxy trace-origin: %s\n", message.text);
        masque_pools_release(pools);
        return EXIT_USAGE;
    }
    fflush(stdout);
    trace_origin_run(origin, options.fds, options.count);
    return EXIT_OK; /* never reached: a signal ends it */
}
