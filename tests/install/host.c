/*
 * host.c: the least that shows an installed library works: the header, a call
 * into it and one into each library inside it. Compiled as C and as C++.
 */
#include <masqueproxy/masqueproxy.h>
#include <stdio.h>
#include <string.h>

static void fill(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    memset(buffer, 7, size);
}

int main(void) {
    masque_runtime runtime;
    memset(&runtime, 0, sizeof runtime);
    runtime.random = fill;
    masque_config *config = masque_config_new(&runtime);
    masque_version_info version = masque_version();
    int error = masque_config_seal(config);
    printf("%s %s %s %s\n", version.masqueproxy, version.wolfssl, version.nghttp2, masque_error_name(error));
    masque_config_release(config);
    return 0;
}
