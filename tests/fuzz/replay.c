/*
 * tests/fuzz/replay.c: runs a fuzz target over files and folders without libFuzzer, so
 * that every compiler and every test run goes through the corpus.
 *
 *     replay_NAME FILE|FOLDER...
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_BYTES_MAX (1 << 20)
#define PATH_BYTES_MAX 4096

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *room = malloc(INPUT_BYTES_MAX);
    if (!file || !room) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    size_t length = fread(room, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    /* Of just this size, so that a sanitizer sees the first byte behind it. */
    uint8_t *input = malloc(length ? length : 1);
    if (!input) {
        abort();
    }
    memcpy(input, room, length);
    free(room);
    LLVMFuzzerTestOneInput(input, length);
    free(input);
}

/* Returns how many files were run. */
static size_t run_path(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    if (!S_ISDIR(status.st_mode)) {
        run_file(path);
        return 1;
    }
    size_t count = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        char name[PATH_BYTES_MAX];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') {
            run_file(name);
            count++;
        }
    }
    if (folder) {
        closedir(folder);
    }
    return count;
}

int main(int count, char **arguments) {
    size_t files = 0;
    for (int i = 1; i < count; i++) {
        files += run_path(arguments[i]);
    }
    printf("%zu inputs\n", files);
    return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
