#include "config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yaml_line.h"

/* --- libcyaml's messages --------------------------------------------------------------- */

/* Adds an outer part in front of the key. */
static void prepend_key(mqd_reader *reader, const char *part) {
    char inner[sizeof reader->key];
    memcpy(inner, reader->key, sizeof inner);
    bool dot = inner[0] && inner[0] != '[';
    snprintf(reader->key, sizeof reader->key, "%.60s%s%.180s", part, dot ? "." : "", inner);
}

static void note_place(mqd_reader *reader, const char *line) {
    char name[100];
    unsigned number = 0;
    const char *at = strstr(line, "(line: ");
    if (reader->line == 0 && at) {
        reader->line = (unsigned)strtoul(at + 7, NULL, 10);
    }
    if (sscanf(line, " in mapping field '%99[^']'", name) == 1) {
        prepend_key(reader, name);
    } else if (sscanf(line, " in sequence entry '%u'", &number) == 1 && number > 0) {
        snprintf(name, sizeof name, "[%u]", number - 1);
        prepend_key(reader, name);
    }
}

/* The problem, "Backtrace:", then places from the inside out. */
void config_on_cyaml_log(cyaml_log_t level, void *context, const char *format, va_list arguments) {
    mqd_reader *reader = context;
    char line[300];
    (void)level;
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = 0;
    const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
    if (strncmp(text, "Backtrace", 9) == 0) {
        return;
    }
    if (strncmp(text, "  in ", 5) == 0) {
        note_place(reader, text);
    } else if (!reader->problem[0]) {
        snprintf(reader->problem, sizeof reader->problem, "%.250s", text);
    }
}

/* libcyaml names types of C; an operator wants to know what to write. */
static void translate(const char *problem, char *text, size_t size) {
    static const struct {
        const char *theirs;
        const char *ours;
        bool keeps_rest;
    } rows[] = {
        {"Expecting SEQUENCE", "expected a list, such as [ a, b ]", false},
        {"Expecting MAPPING", "expected keys with values, such as { key: value }", false},
        {"Expecting STRING", "expected one value; one that begins with [ needs quotes", false},
        {"Expecting SCALAR", "expected one value; one that begins with [ needs quotes", false},
        {"Missing required mapping field: ", "this key is missing: ", true},
        {"Mapping field already seen: ", "this key is there twice: ", true},
        {"STRING length <", "is empty", false},
        {"Insufficient entries", "is empty", false},
        {"STRING length > ", "is too long; the most is ", true},
    };
    snprintf(text, size, "%s", problem);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t length = strlen(rows[i].theirs);
        if (strncmp(problem, rows[i].theirs, length) == 0) {
            snprintf(text, size, "%s%s", rows[i].ours, rows[i].keeps_rest ? problem + length : "");
        }
    }
}

static bool complain_of_yaml(mqd_reader *reader, const char *problem) {
    bool tab = strstr(problem, "cannot start any token") != NULL;
    say(reader->message, "%.200s:%u: no YAML: %.150s%s", reader->path, yaml_error_line(reader->text, reader->length),
        problem, tab ? "; a line is indented with spaces, never a tab" : "");
    return false;
}

bool config_complain_of_syntax(mqd_reader *reader) {
    static const char unexpected[] = "Unexpected key: ";
    static const char yaml[] = "libyaml: ";
    char text[300];
    if (strncmp(reader->problem, yaml, sizeof yaml - 1) == 0) {
        return complain_of_yaml(reader, reader->problem + sizeof yaml - 1);
    }
    if (strncmp(reader->problem, unexpected, sizeof unexpected - 1) == 0) {
        char path[512];
        const char *key = reader->problem + sizeof unexpected - 1;
        snprintf(path, sizeof path, "%s%s%s", reader->key, reader->key[0] ? "." : "", key);
        say(reader->message, "%.200s:%u: unknown key “%.100s”; masqueproxyd(8) lists the keys there are", reader->path,
            yaml_line_of(reader->text, reader->length, path), path);
        return false;
    }
    /* What is missing is said of the last key that was there: its mapping is meant. */
    char *last = strncmp(reader->problem, "Missing", 7) == 0 ? strrchr(reader->key, '.') : NULL;
    if (last) {
        *last = 0;
    }
    translate(reader->problem, text, sizeof text);
    say(reader->message, "%.200s:%u: %s%.100s%s%.150s", reader->path, reader->line ? reader->line : 1,
        reader->key[0] ? "“" : "", reader->key, reader->key[0] ? "”: " : "", text);
    return false;
}

mqd_message config_place_of(const mqd_reader *reader, const char *key) {
    mqd_message place;
    say(&place, "%.200s:%u: “%.60s”", reader->path, yaml_line_of(reader->text, reader->length, key), key);
    return place;
}

bool config_complain_of(mqd_reader *reader, const char *key) {
    mqd_message inner = *reader->message;
    say(reader->message, "%s: %.200s", config_place_of(reader, key).text, inner.text);
    return false;
}

/* --- values -------------------------------------------------------------------------------- */

bool config_take_word(mqd_reader *reader, const char *key, const char *value, const char *const words[2],
                      bool *second) {
    if (!value) {
        return true;
    }
    *second = strcmp(value, words[1]) == 0;
    if (*second || strcmp(value, words[0]) == 0) {
        return true;
    }
    say(reader->message, "“%.40s” is neither %s nor %s", value, words[0], words[1]);
    return config_complain_of(reader, key);
}

bool config_take_truth(mqd_reader *reader, const char *key, const char *value, bool *truth) {
    static const char *const words[2] = {"false", "true"};
    return config_take_word(reader, key, value, words, truth);
}

void config_take_file(const mqd_reader *reader, const char *key, const char *path, mqd_file *file) {
    if (path) {
        settings_set_file(file, path, config_place_of(reader, key).text);
    }
}
