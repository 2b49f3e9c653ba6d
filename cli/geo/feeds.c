#include "geo/feeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "random.h"

/* Lines of a lenient reading that are told one by one. */
#define TOLD_MAX 10u

typedef struct reading {
    const geo_settings *geo;
    const log_options *log;
    const mqd_file *files;
    size_t count;
    bool cities; /* what is read is the table of cities */
    mqd_message *message;
    bool lenient;
    bool prints; /* every problem */
    size_t problems;
} reading;

static const char *path_of(const reading *r, unsigned file) {
    return r->cities ? r->geo->cities.path : file < r->count ? r->files[file].path : "";
}

static void on_problem(void *context, const masque_geo_problem *problem) {
    reading *r = context;
    mqd_message text;
    if (problem->other_line) {
        say(&text, "%.150s:%u: %.100s, of %.150s:%u", path_of(r, problem->file), problem->line, problem->why,
            path_of(r, problem->other_file), problem->other_line);
    } else {
        say(&text, "%.200s:%u: %.200s", path_of(r, problem->file), problem->line, problem->why);
    }
    if (r->problems++ == 0 && !r->lenient) {
        *r->message = text;
    }
    if (r->prints) {
        puts(text.text);
    } else if (r->lenient && r->log && r->problems <= TOLD_MAX) {
        log_line(r->log, MASQUE_LOG_WARNING, "geofeed", "%s; passed over", text.text);
    }
}

/* The first problem is the message, if there is one. */
static bool finish(const reading *r, int error, const char *place) {
    if (error && (r->lenient || r->problems == 0)) {
        say(r->message, "%.250s: %s", place, masque_error_text(error));
    }
    return error == 0;
}

static bool add_file(reading *r, masque_pools *pools, const mqd_file *file, unsigned number) {
    const masque_geo_reader reader = {.file = number, .lenient = r->lenient, .report = on_problem, .context = r};
    mqd_message why;
    size_t length;
    char *text = read_large_file(file->path, &length, &why);
    if (!text) {
        say(r->message, "%.200s: %.300s", file->place, why.text);
        return false;
    }
    int error = (r->cities ? masque_pools_add_cities : masque_pools_add_geofeed)(pools, text, length, &reader);
    free(text);
    return finish(r, error, file->place);
}

static bool add_all(reading *r, masque_pools *pools) {
    r->cities = true;
    if (r->geo->cities.path && !add_file(r, pools, &r->geo->cities, 0)) {
        return false;
    }
    r->cities = false;
    for (size_t i = 0; i < r->count; i++) {
        if (!add_file(r, pools, &r->files[i], (unsigned)i)) {
            return false;
        }
    }
    const masque_geo_reader reader = {.lenient = r->lenient, .report = on_problem, .context = r};
    if (!finish(r, masque_pools_seal(pools, &reader), r->files[0].place)) {
        return false;
    }
    if (masque_pools_prefixes(pools) == 0) {
        say(r->message, "%.250s: there is no prefix in it", r->files[0].place);
        return false;
    }
    return true;
}

static masque_pools *read_pools(reading *r) {
    const masque_runtime runtime = {.random = system_random};
    masque_pools *pools = masque_pools_new(&runtime);
    if (!pools) {
        say(r->message, "out of memory");
        return NULL;
    }
    if (!add_all(r, pools)) {
        masque_pools_release(pools);
        return NULL;
    }
    return pools;
}

masque_pools *feeds_read(const geo_settings *geo, const mqd_file *files, size_t count, const log_options *log,
                         mqd_message *message) {
    reading r = {.geo = geo, .log = log, .files = files, .count = count, .message = message, .lenient = geo->lenient};
    masque_pools *pools = read_pools(&r);
    if (pools && log && r.problems > TOLD_MAX) {
        log_line(log, MASQUE_LOG_WARNING, "geofeed", "%zu lines were passed over in all", r.problems);
    }
    return pools;
}

masque_pools *feeds_look_at(const geo_settings *geo, size_t *problems, mqd_message *message) {
    reading r = {
        .geo = geo, .files = geo->pools, .count = geo->pool_count, .message = message, .lenient = true, .prints = true};
    masque_pools *pools = read_pools(&r);
    *problems = r.problems;
    return pools;
}
