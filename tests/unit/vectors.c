#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *unit_vectors(const char *name) {
    const char *folder = getenv("MASQUE_VECTORS");
    char path[1024];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", folder ? folder : UNIT_VECTORS, name);
    FILE *file = fopen(path, "r");
    if (!file) {
        print_message("no vectors at %s; MASQUE_VECTORS may name their folder\n", path);
        skip();
    }
    json_t *vectors = json_loadf(file, 0, &error);
    fclose(file);
    if (!vectors) {
        fail_msg("%s:%d: %s", path, error.line, error.text);
    }
    return vectors;
}

uint8_t *unit_vector(const json_t *object, const char *key, size_t *length) {
    const char *hex = json_string_value(json_object_get(object, key));
    if (!hex) {
        fail_msg("no %s in a vector", key);
        abort();
    }
    hex += strncmp(hex, "0x", 2) == 0 ? 2 : 0;
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
    assert_non_null(bytes);
    *length = unit_hex(bytes, hex);
    return bytes;
}
