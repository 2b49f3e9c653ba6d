/* geo/report.c: what an operator asks of the pools: --explain-egress, --check-pools, --publish-geofeed. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "geo/atlas.h"
#include "geo/feeds.h"
#include "geo/report.h"
#include "socket.h"

/* --- explain ------------------------------------------------------------------------------------------------------ */

/* "192.0.2.0/24" */
static void print_prefix(const masque_pool_prefix *pool) {
    char text[MASQUE_ADDRESS_TEXT_MAX];
    masque_address_format(&pool->prefix, text, sizeof text);
    printf("%s/%u", text, pool->length);
}

static void print_pool(const masque_pool_prefix *pool, const mqd_settings *settings) {
    const char *const parts[] = {pool->country[0] ? pool->country : "no country", pool->region, pool->city,
                                 pool->geohash};
    printf("  pool:    ");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        printf("%s%s", i > 0 && parts[i][0] ? ", " : "", parts[i]);
    }
    printf(" (%s:%u)\n  prefix:  ", settings->geo.pools[pool->file].path, pool->line);
    print_prefix(pool);
}

static void print_distance(const char *client, const char *pool) {
    masque_geo_cell here, there;
    if (masque_geohash_decode(client, strlen(client), &here) && masque_geohash_decode(pool, strlen(pool), &there)) {
        printf("  distance: %.0f km, between the middles of both cells\n",
               masque_geo_distance((here.south + here.north) / 2, (here.west + here.east) / 2,
                                   (there.south + there.north) / 2, (there.west + there.east) / 2));
    }
}

static void explain_level(const masque_geo *geo, const masque_place *place, const char *counts,
                          const masque_geo_choice *choice, const masque_pool_prefix *pool) {
    unsigned common = 0;
    while (counts[common] && counts[common] == pool->geohash[common]) {
        common++;
    }
    switch (choice->level) {
    case MASQUE_GEO_CITY:
        printf(
            "  level:   city: its geohash and the client's begin with the same %u characters, at least %u are needed\n",
            common, geo->city_precision ? geo->city_precision : MASQUE_GEO_CITY_PRECISION);
        break;
    case MASQUE_GEO_COUNTRY:
        printf("  level:   country: %s\n", strlen(counts) <= 1 ? "no more than the country is asked for"
                                           : pool->geohash[0]  ? "the nearest pool of it"
                                                               : "a pool of the whole country");
        break;
    case MASQUE_GEO_DEFAULT:
        printf("  level:   default: %s%s\n", place->country[0] ? "there is no pool in " : "the country is not known",
               place->country);
        break;
    case MASQUE_GEO_NONE:
        break;
    }
}

static void explain_family(const mqd_settings *settings, const masque_pools *pools, const masque_place *place,
                           masque_family family) {
    const masque_geo *geo = &settings->geo.options;
    masque_geo_choice choice;
    masque_pool_prefix pool;
    char counts[MASQUE_GEOHASH_MAX + 1], text[MASQUE_ADDRESS_TEXT_MAX];
    unsigned most = geo->precision ? geo->precision : MASQUE_GEO_PRECISION;
    most = geo->coarse && geo->coarse < most ? geo->coarse : most;
    snprintf(counts, sizeof counts, "%.*s", (int)most, place->geohash);
    printf("%s target\n", family == MASQUE_IPV4 ? "IPv4" : "IPv6");
    if (masque_pools_choose(pools, geo, place, family, 0, 0, &choice) == MASQUE_GEO_NONE ||
        !masque_pools_at(pools, choice.prefix, &pool)) {
        printf("  there is no address of this family for it: such targets are not dialed\n");
        return;
    }
    explain_level(geo, place, counts, &choice, &pool);
    print_pool(&pool, settings);
    printf(", one of %zu that a connection's number chooses among\n", choice.candidates);
    print_distance(counts, pool.geohash);
    masque_address_format(&choice.source, text, sizeof text);
    printf("  address: %s%s\n", text,
           choice.candidates > 1 || pool.length < (family == MASQUE_IPV4 ? 32 : 128) ? ", for instance" : "");
}

static int explain(const mqd_settings *settings, const masque_pools *pools) {
    const char *target = settings->explain_target;
    masque_place place = {.country = ""};
    const char *text = settings->explain;
    if (text[0] && !masque_place_parse(&place, text, strlen(text))) {
        fprintf(stderr, "masqueproxyd: “%.60s” is no place; clients send such as xn76c-JP, or nothing\n", text);
        return 1;
    }
    printf("client: %s%s%s; of its geohash %u characters are kept%s\n", place.geohash,
           place.country[0] ? ", " : "of an unknown place", place.country,
           settings->geo.options.precision ? settings->geo.options.precision : MASQUE_GEO_PRECISION,
           settings->geo.options.coarse == 1   ? ", and geo.coarse leaves the country alone"
           : settings->geo.options.coarse == 2 ? ", and geo.coarse leaves two"
                                               : "");
    if (!target || strcmp(target, "v6") == 0) {
        explain_family(settings, pools, &place, MASQUE_IPV6);
    }
    if (!target || strcmp(target, "v4") == 0) {
        explain_family(settings, pools, &place, MASQUE_IPV4);
    }
    return 0;
}

/* --- check -------------------------------------------------------------------------------------------------------- */

/* Can a socket have it? */
static bool is_local(const masque_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = address_to_sockaddr(address, &storage);
    int fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool bound = fd < 0 || bind(fd, (struct sockaddr *)&storage, length) == 0 || errno != EADDRNOTAVAIL;
    if (fd >= 0) {
        close(fd);
    }
    return bound; /* or it can't be said */
}

static size_t complain(const mqd_settings *settings, const masque_pool_prefix *pool, const char *what) {
    printf("%s:%u: ", settings->geo.pools[pool->file].path, pool->line);
    print_prefix(pool);
    printf(": %s\n", what);
    return 1;
}

static int check(const mqd_settings *settings) {
    static geo_atlas atlas; /* too large for some stacks */
    const bool freebind = settings->geo.source.freebind;
    size_t problems = 0;
    mqd_message message;
    masque_pool_prefix pool;
    masque_pools *pools = feeds_look_at(&settings->geo, &problems, &message);
    if (!pools) {
        fprintf(stderr, "masqueproxyd: %s\n", message.text);
        return 1;
    }
    atlas_read(&atlas);
    for (size_t i = 0; masque_pools_at(pools, i, &pool); i++) {
        if (!freebind && !is_local(&pool.prefix)) {
            problems += complain(settings, &pool,
                                 "this machine doesn't have it; give it to an interface, or route it here and set "
                                 "geo.freebind");
        }
        if (atlas_doubts(&atlas, pool.geohash, pool.country, &message)) {
            problems += complain(settings, &pool, message.text);
        }
    }
    printf("%zu prefixes of %zu pools, %zu problem%s%s%s\n", masque_pools_prefixes(pools), masque_pools_count(pools),
           problems, problems == 1 ? "" : "s", freebind ? "; not looked at: are they routed to this machine?" : "",
           atlas.count == 0 ? "; not looked at, for lack of tzdata: do geohashes lie in their countries?" : "");
    masque_pools_release(pools);
    return problems > 0;
}

/* --- publish ------------------------------------------------------------------------------------------------------ */

/* In quotes where it must be (RFC 4180). */
static void print_field(const char *text) {
    bool quotes = strpbrk(text, ",\"#") != NULL;
    fputs(quotes ? ",\"" : ",", stdout);
    for (; *text; text++) {
        fputs(*text == '"' ? "\"\"" : (const char[]){*text, 0}, stdout);
    }
    fputs(quotes ? "\"" : "", stdout);
}

/* What others read has five columns; our sixth one, the geohash, says more of us than they need. */
static int publish(const masque_pools *pools) {
    masque_pool_prefix pool;
    puts("# prefix,country,region,city,postal (RFC 8805)");
    for (size_t i = 0; masque_pools_at(pools, i, &pool); i++) {
        print_prefix(&pool);
        print_field(pool.country);
        print_field(pool.region);
        print_field(pool.city);
        puts(",");
    }
    return 0;
}

int report_pools(const mqd_settings *settings, const log_options *log) {
    mqd_message message;
    int status = settings->check_pools ? check(settings) : 0;
    if (!settings->explain && !settings->publish_geofeed) {
        return status;
    }
    masque_pools *pools = feeds_read(&settings->geo, settings->geo.pools, settings->geo.pool_count, log, &message);
    if (!pools) {
        fprintf(stderr, "masqueproxyd: %s\n", message.text);
        return 1;
    }
    status |= settings->explain ? explain(settings, pools) : 0;
    status |= settings->publish_geofeed ? publish(pools) : 0;
    masque_pools_release(pools);
    return status;
}
