/*
 * config_reader.h: what reading the sections of the configuration file has in common: the file with the first mistake
 * that was found in it, said with its place and key, and libcyaml's shapes of values.
 */
#ifndef CLI_CONFIG_READER_H
#define CLI_CONFIG_READER_H

#include <cyaml/cyaml.h>

#include "settings.h"

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
/* Values are texts, for libcyaml takes 5x for 5. NULL: the file doesn't name it. */
#define TEXT(key, type, field) CYAML_FIELD_STRING_PTR(key, OPTIONAL, type, field, 1, 4096)
#define NEEDED(key, type, field, most) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, field, 1, most)
#define LIST(key, type, field, entry) CYAML_FIELD_SEQUENCE(key, OPTIONAL, type, field, entry, 0, 1024)

typedef struct mqd_reader {
    mqd_settings *settings;
    const char *path;
    const char *text;
    size_t length;
    mqd_message *message;
    char problem[256]; /* libcyaml's first message */
    char key[256];     /* where, from its backtrace: inner parts come first */
    unsigned line;     /* of the innermost part */
} mqd_reader;

/* libcyaml's log; CONTEXT is the reader. */
__attribute__((format(printf, 3, 0))) void config_on_cyaml_log(cyaml_log_t level, void *context, const char *format,
                                                               va_list arguments);

/* "FILE:LINE: “KEY”" */
mqd_message config_place_of(const mqd_reader *reader, const char *key);

/* Both return false. The message is made of what libcyaml said; or the place of KEY is put in front of it. */
bool config_complain_of_syntax(mqd_reader *reader);
bool config_complain_of(mqd_reader *reader, const char *key);

/* VALUE is one of two words, or NULL; *SECOND says which. False with the message set. */
bool config_take_word(mqd_reader *reader, const char *key, const char *value, const char *const words[2], bool *second);
bool config_take_truth(mqd_reader *reader, const char *key, const char *value, bool *truth);

/* PATH goes into FILE, with the place of KEY; NULL: it isn't named, and FILE stays. */
void config_take_file(const mqd_reader *reader, const char *key, const char *path, mqd_file *file);

#endif
