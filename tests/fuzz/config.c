/*
 * tests/fuzz/config.c: masqueproxyd's YAML file. Whatever is in it, reading ends; a
 * refusal is one message that begins with file and line, and what is taken holds
 * values that were checked.
 */
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "fuzz.h"

/* "fuzz.yaml:LINE: …", on one line. */
static void check_message(const char *text) {
    static const char file[] = "fuzz.yaml:";
    FUZZ_REQUIRE(strncmp(text, file, sizeof file - 1) == 0);
    char *end;
    strtoul(text + sizeof file - 1, &end, 10);
    FUZZ_REQUIRE(end > text + sizeof file - 1 && strncmp(end, ": ", 2) == 0 && end[2] != 0);
}

static void check_settings(const mqd_settings *settings) {
    FUZZ_REQUIRE(settings->listener_count <= LISTENERS_MAX && settings->preshared_count <= PRESHARED_MAX);
    FUZZ_REQUIRE(settings->workers <= WORKERS_MAX);
    FUZZ_REQUIRE(!masque_limits_check(&settings->limits));
    for (size_t i = 0; i < settings->listener_count; i++) {
        FUZZ_REQUIRE(settings->listeners[i].address.port > 0 && settings->listeners[i].protocols != 0);
    }
    for (size_t i = 0; i < settings->preshared_count; i++) {
        FUZZ_REQUIRE(settings->preshared[i].name && settings->preshared[i].file.path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mqd_settings settings;
    mqd_message message = {.text = ""};
    /* As read_whole_file() gives it: with a zero behind. */
    char *text = malloc(size + 1);
    FUZZ_REQUIRE(text);
    memcpy(text, data, size);
    text[size] = 0;
    settings_init(&settings);
    if (config_file_parse(&settings, "fuzz.yaml", text, size, &message)) {
        check_settings(&settings);
    } else {
        check_message(message.text);
    }
    settings_free(&settings);
    free(text);
    return 0;
}
