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
    /* A damaged tree points in front of the data, which the library takes for 4 GiB behind them. */
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

bool locations_read_database(const char *bytes, size_t length, masque_locator *locator, mqd_message *message) {
    char path[40];
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
