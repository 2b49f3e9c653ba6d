#include "geo/locations.h"

#include <errno.h>
#include <maxminddb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "files.h"
#include "geo/feeds.h"
#include "socket.h"

/* --- a MaxMind database ------------------------------------------------------------------- */

static double number_at(MMDB_entry_s *entry, const char *name, bool *found) {
    MMDB_entry_data_s data;
    *found = MMDB_get_value(entry, &data, "location", name, NULL) == MMDB_SUCCESS && data.has_data &&
             data.type == MMDB_DATA_TYPE_DOUBLE;
    return *found ? data.double_value : 0;
}

static bool country_at(MMDB_entry_s *entry, const char *name, char country[3]) {
    MMDB_entry_data_s data;
    masque_place place;
    char text[8];
    if (MMDB_get_value(entry, &data, name, "iso_code", NULL) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size != 2) {
        return false;
    }
    int length = snprintf(text, sizeof text, "0-%.2s", data.utf8_string);
    if (!masque_place_parse(&place, text, (size_t)length)) {
        return false;
    }
    memcpy(country, place.country, sizeof place.country);
    return true;
}

static bool locate_in_database(void *context, const masque_address *client, masque_place *place) {
    const MMDB_s *database = context;
    struct sockaddr_storage storage;
    int error = MMDB_SUCCESS;
    bool has_latitude, has_longitude;
    address_to_sockaddr(client, &storage);
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(database, (const struct sockaddr *)&storage, &error);
    if (error != MMDB_SUCCESS || !found.found_entry || found.entry.offset >= database->data_section_size ||
        (!country_at(&found.entry, "country", place->country) &&
         !country_at(&found.entry, "registered_country", place->country))) {
        return false;
    }
    double latitude = number_at(&found.entry, "latitude", &has_latitude);
    double longitude = number_at(&found.entry, "longitude", &has_longitude);
    if (has_latitude && has_longitude) {
        masque_geohash_encode(latitude, longitude, MASQUE_GEOHASH_MAX, place->geohash);
    }
    return true;
}

static void close_database(void *context) {
    MMDB_close(context);
    free(context);
}

/* libmaxminddb maps a file, and who replaced it in place, not by another of its name, would end us (SIGBUS): so it gets
   a copy. The descriptor, or -1 with errno. */
static int copy_of(const char *bytes, size_t length) {
    int fd = memfd_create("client-locations", MFD_CLOEXEC);
    size_t written = 0;
    while (fd >= 0 && written < length) {
        ssize_t count = write(fd, bytes + written, length - written);
        if (count <= 0) {
            close(fd);
            return -1;
        }
        written += (size_t)count;
    }
    return fd;
}

/* --- its metadata (MaxMind DB file format 2.0) ------------------------------------------------------------ */

typedef struct metadata {
    const uint8_t *at, *end;
} metadata;

enum {
    MMDB_POINTER = 1,
    MMDB_STRING = 2,
    MMDB_UINT16 = 5,
    MMDB_UINT32 = 6,
    MMDB_MAP = 7,
    MMDB_ARRAY = 11,
    MMDB_TRUTH = 14
};

/* A control byte, with what belongs to it. False: cut off, or a pointer. */
static bool take_control(metadata *m, unsigned *type, size_t *size) {
    if (m->at == m->end) {
        return false;
    }
    unsigned control = *m->at++;
    *type = control >> 5;
    *size = control & 31;
    if (*type == 0 && m->at < m->end) {
        *type = 7u + *m->at++;
    }
    size_t more = *size > 28 ? *size - 28 : 0, number = 0;
    if (more > (size_t)(m->end - m->at) || *type == 0 || *type == MMDB_POINTER) {
        return false;
    }
    for (size_t i = 0; i < more; i++) {
        number = number << 8 | *m->at++;
    }
    static const size_t begin[4] = {0, 29, 285, 65821};
    *size = more ? begin[more] + number : *size;
    return true;
}

/* Nothing of it is needed. Values inside of a value are counted, not entered: no depth is too much. */
static bool pass_value(metadata *m) {
    size_t left = 1;
    for (; left > 0; left--) {
        unsigned type;
        size_t size;
        if (!take_control(m, &type, &size) || size > (size_t)(m->end - m->at)) {
            return false;
        }
        if (type == MMDB_MAP || type == MMDB_ARRAY) {
            left += type == MMDB_MAP ? 2 * size : size;
        } else if (type != MMDB_TRUTH) {
            m->at += size;
        }
    }
    return true;
}

/* A number of TYPE. */
static bool take_number(metadata *m, unsigned wanted, uint64_t *number) {
    unsigned type;
    size_t size;
    if (!take_control(m, &type, &size) || type != wanted || size > 4 || size > (size_t)(m->end - m->at)) {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < size; i++) {
        *number = *number << 8 | *m->at++;
    }
    return true;
}

static bool read_metadata(metadata *m, uint64_t *nodes, uint64_t *bits) {
    unsigned type;
    size_t count, length;
    if (!take_control(m, &type, &count) || type != MMDB_MAP) {
        return false;
    }
    for (; count > 0; count--) {
        if (!take_control(m, &type, &length) || type != MMDB_STRING || length > (size_t)(m->end - m->at)) {
            return false;
        }
        const uint8_t *key = m->at;
        m->at += length;
        bool is_nodes = length == 10 && memcmp(key, "node_count", 10) == 0;
        bool is_bits = length == 11 && memcmp(key, "record_size", 11) == 0;
        if (!(is_nodes  ? take_number(m, MMDB_UINT32, nodes)
              : is_bits ? take_number(m, MMDB_UINT16, bits)
                        : pass_value(m))) {
            return false;
        }
    }
    return true;
}

/* libmaxminddb 1.7 multiplies in 32 bits: a tree of more than 4 GiB seems to fit into any file, and is read far behind
   it. So the metadata's numbers are looked at before it. */
static bool has_whole_tree(const char *bytes, size_t length) {
    static const char mark[] = "\xab\xcd\xefMaxMind.com";
    const char *last = NULL, *next = bytes;
    while ((next = memmem(next, length - (size_t)(next - bytes), mark, sizeof mark - 1))) {
        next += sizeof mark - 1;
        last = next;
    }
    metadata m = {.at = (const uint8_t *)last, .end = (const uint8_t *)bytes + length};
    uint64_t nodes = 0, bits = 0;
    return last && read_metadata(&m, &nodes, &bits) && nodes > 0 && bits > 0 && bits <= 32 &&
           nodes * bits / 4 + 16 <= length;
}

bool locations_read_database(const char *bytes, size_t length, masque_locator *locator, mqd_message *message) {
    char path[40];
    if (!has_whole_tree(bytes, length)) {
        say(message, "it is no MaxMind database, or not the whole of one");
        return false;
    }
    MMDB_s *database = calloc(1, sizeof *database);
    int fd = database ? copy_of(bytes, length) : -1;
    if (fd < 0) {
        say(message, "no memory for a copy: %s", strerror(errno));
        free(database);
        return false;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int error = MMDB_open(path, MMDB_MODE_MMAP, database);
    close(fd);
    if (error != MMDB_SUCCESS) {
        say(message, "it is no MaxMind database: %s", MMDB_strerror(error));
        free(database);
        return false;
    }
    *locator = (masque_locator){.locate = locate_in_database, .release = close_database, .context = database};
    return true;
}

static bool open_database(const mqd_file *file, masque_locator *locator, mqd_message *message) {
    mqd_message why;
    size_t length;
    char *bytes = read_large_file(file->path, &length, message);
    bool good = bytes && locations_read_database(bytes, length, locator, message);
    free(bytes);
    if (!good) {
        why = *message;
        say(message, "%.150s: %.150s: %.200s", file->place, file->path, why.text);
    }
    return good;
}

/* --- a geofeed ------------------------------------------------------------------------------ */

static bool locate_in_feed(void *context, const masque_address *client, masque_place *place) {
    masque_pool_prefix prefix;
    if (!masque_pools_find(context, client, &prefix) || !prefix.country[0]) {
        return false;
    }
    memcpy(place->country, prefix.country, sizeof place->country);
    snprintf(place->geohash, sizeof place->geohash, "%s", prefix.geohash);
    return true;
}

static void release_feed(void *context) {
    masque_pools_release(context);
}

bool locations_open(const geo_settings *geo, const log_options *log, masque_locator *locator, mqd_message *message) {
    size_t length = strlen(geo->locations.path);
    if (length >= 5 && strcmp(geo->locations.path + length - 5, ".mmdb") == 0) {
        return open_database(&geo->locations, locator, message);
    }
    masque_pools *pools = feeds_read(geo, &geo->locations, 1, log, message);
    *locator = (masque_locator){.locate = locate_in_feed, .release = release_feed, .context = pools};
    return pools != NULL;
}
