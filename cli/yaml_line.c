#include "yaml_line.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* Our deepest key is auth.preshared[0].name. */
#define DEPTH_MAX 16

typedef struct mqd_level {
    bool sequence;
    bool expects_key;
    unsigned index;     /* of the sequence's next entry */
    size_t path_length; /* of the path outside this level */
} mqd_level;

typedef struct mqd_walk {
    mqd_level levels[DEPTH_MAX];
    size_t depth;
    char path[256];
    const char *wanted;
    unsigned line;
    size_t matched; /* length of the longest prefix of WANTED seen */
} mqd_walk;

/* Is PATH the wanted one, or a part it begins with? */
static void match(mqd_walk *walk, const yaml_event_t *event) {
    size_t length = strlen(walk->path);
    char next = strncmp(walk->path, walk->wanted, length) == 0 ? walk->wanted[length] : 'x';
    if (length > walk->matched && (next == 0 || next == '.' || next == '[')) {
        walk->matched = length;
        walk->line = (unsigned)event->start_mark.line + 1;
    }
}

static void enter_name(mqd_walk *walk, const yaml_event_t *event) {
    size_t at = walk->levels[walk->depth - 1].path_length;
    snprintf(walk->path + at, sizeof walk->path - at, "%s%.60s", at ? "." : "", (const char *)event->data.scalar.value);
    match(walk, event);
}

static void enter_value(mqd_walk *walk, const yaml_event_t *event) {
    if (walk->depth == 0) {
        return;
    }
    mqd_level *level = &walk->levels[walk->depth - 1];
    if (level->sequence) {
        snprintf(walk->path + level->path_length, sizeof walk->path - level->path_length, "[%u]", level->index++);
        match(walk, event);
    } else {
        level->expects_key = true;
    }
}

static bool push(mqd_walk *walk, bool sequence) {
    if (walk->depth == DEPTH_MAX) {
        return false;
    }
    walk->levels[walk->depth++] =
        (mqd_level){.sequence = sequence, .expects_key = !sequence, .path_length = strlen(walk->path)};
    return true;
}

static bool step(void *context, const yaml_event_t *event) {
    mqd_walk *walk = context;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (walk->depth > 0 && walk->levels[walk->depth - 1].expects_key) {
            walk->levels[walk->depth - 1].expects_key = false;
            enter_name(walk, event);
            return true;
        }
        enter_value(walk, event);
        return true;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        enter_value(walk, event);
        return push(walk, event->type == YAML_SEQUENCE_START_EVENT);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        walk->depth--;
        walk->path[walk->levels[walk->depth].path_length] = 0;
        return true;
    case YAML_ALIAS_EVENT:
        enter_value(walk, event);
        return true;
    case YAML_STREAM_END_EVENT:
        return false;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    return false;
}

/* Gives each event to TAKE until that says false. Returns the line of a syntax error, or 0. */
static unsigned walk_events(const char *text, size_t length, bool (*take)(void *context, const yaml_event_t *event),
                            void *context) {
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return 0;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    unsigned line = 0;
    bool more = true;
    while (more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            line = (unsigned)parser.problem_mark.line + 1;
            break;
        }
        more = take(context, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return line;
}

unsigned yaml_line_of(const char *text, size_t length, const char *path) {
    mqd_walk walk = {.wanted = path};
    walk_events(text, length, step, &walk);
    return walk.line;
}

static bool take_any(void *context, const yaml_event_t *event) {
    (void)context;
    return event->type != YAML_STREAM_END_EVENT;
}

unsigned yaml_error_line(const char *text, size_t length) {
    return walk_events(text, length, take_any, NULL);
}

typedef struct mqd_documents {
    unsigned count;
    unsigned line; /* of the second */
} mqd_documents;

static bool count_documents(void *context, const yaml_event_t *event) {
    mqd_documents *documents = context;
    if (event->type == YAML_DOCUMENT_START_EVENT && ++documents->count == 2) {
        documents->line = (unsigned)event->start_mark.line + 1;
    }
    return event->type != YAML_STREAM_END_EVENT && documents->count < 2;
}

unsigned yaml_second_document(const char *text, size_t length) {
    mqd_documents documents = {.count = 0};
    walk_events(text, length, count_documents, &documents);
    return documents.line;
}
