#include "geo/pools.h"

#include <string.h>

#include "base/ascii.h"
#include "base/sort.h"

#define SLOTS_MIN 64u

/* --- life ----------------------------------------------------------------------------------- */

masque_pools *masque_pools_new(const masque_runtime *runtime) {
    masque_allocator allocator;
    mq_allocator_init(&allocator, &runtime->allocator);
    masque_pools *pools = mq_zalloc(&allocator, sizeof *pools);
    if (!pools) {
        return NULL;
    }
    pools->allocator = allocator;
    atomic_init(&pools->users, 1);
    if (mq_pools_text(pools, "", 0) != 0) {
        masque_pools_release(pools);
        return NULL;
    }
    return pools;
}

masque_pools *masque_pools_retain(masque_pools *pools) {
    atomic_fetch_add_explicit(&pools->users, 1, memory_order_relaxed);
    return pools;
}

static void forget_tables(masque_pools *pools) {
    mq_intern *const tables[] = {&pools->place_table, &pools->city_table, &pools->text_table};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        mq_free(&pools->allocator, tables[i]->slots);
        *tables[i] = (mq_intern){.slots = NULL};
    }
    mq_free(&pools->allocator, pools->cities);
    pools->cities = NULL;
}

void masque_pools_release(masque_pools *pools) {
    if (!pools || atomic_fetch_sub_explicit(&pools->users, 1, memory_order_acq_rel) > 1) {
        return;
    }
    const masque_allocator allocator = pools->allocator;
    forget_tables(pools);
    mq_free(&allocator, pools->prefixes);
    mq_free(&allocator, pools->places);
    mq_free(&allocator, pools->texts);
    mq_free(&allocator, pools->by_address);
    for (size_t i = 0; i < MQ_FAMILIES; i++) {
        mq_free(&allocator, pools->index[i].pools);
        mq_free(&allocator, pools->index[i].keys);
        mq_free(&allocator, pools->index[i].samples);
        mq_free(&allocator, pools->index[i].nodes);
    }
    mq_free(&allocator, pools);
}

/* --- countries ------------------------------------------------------------------------------ */

static int letter_of(char c) {
    c = mq_lower(c);
    return c >= 'a' && c <= 'z' ? c - 'a' : -1;
}

unsigned mq_country_of(const char *text, size_t length) {
    int first = length == 2 ? letter_of(text[0]) : -1, second = length == 2 ? letter_of(text[1]) : -1;
    return first < 0 || second < 0 ? 0 : (unsigned)first * 26 + (unsigned)second + 1;
}

void mq_country_name(unsigned country, char name[3]) {
    name[0] = country ? (char)('A' + (country - 1) / 26) : 0;
    name[1] = country ? (char)('A' + (country - 1) % 26) : 0;
    name[2] = 0;
}

/* --- what was met before ------------------------------------------------------------------------ */

static uint64_t hash_text(const char *text, size_t length) {
    uint64_t hash = length;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)mq_lower(text[i])) * UINT64_C(0x100000001b3);
    }
    return mq_mix(hash);
}

static uint64_t hash_of_text(const masque_pools *pools, uint32_t number) {
    const char *text = pools->texts + number;
    return hash_text(text, strlen(text));
}

static bool is_same_text(const char *known, const char *text, size_t length) {
    size_t i = 0;
    while (i < length && known[i] && mq_lower(known[i]) == mq_lower(text[i])) {
        i++;
    }
    return i == length && known[i] == 0;
}

static uint64_t hash_place(unsigned country, uint32_t region, uint32_t city, const char *geohash) {
    return mq_mix(hash_text(geohash, strlen(geohash)) ^ mq_mix((uint64_t)region << 32 | city) ^ country);
}

static uint64_t hash_of_place(const masque_pools *pools, uint32_t number) {
    const mq_place *place = &pools->places[number];
    return hash_place(place->country, place->region, place->city, place->geohash);
}

static uint64_t hash_of_city(const masque_pools *pools, uint32_t number) {
    const mq_city *city = &pools->cities[number];
    return hash_place(city->country, city->region, city->city, "");
}

typedef uint64_t hash_function(const masque_pools *pools, uint32_t number);

/* Room for one more, at most half full. */
static bool grow(const masque_pools *pools, mq_intern *table, hash_function *hash_of) {
    if (2 * (table->count + 1) <= table->capacity) {
        return true;
    }
    size_t capacity = table->capacity ? 2 * table->capacity : SLOTS_MIN;
    uint32_t *slots = mq_zalloc(&pools->allocator, capacity * sizeof *slots);
    if (!slots) {
        return false;
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i]) {
            size_t at = hash_of(pools, table->slots[i] - 1) & (capacity - 1);
            while (slots[at]) {
                at = (at + 1) & (capacity - 1);
            }
            slots[at] = table->slots[i];
        }
    }
    mq_free(&pools->allocator, table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

uint32_t mq_pools_text(masque_pools *pools, const char *text, size_t length) {
    if (!grow(pools, &pools->text_table, hash_of_text)) {
        return UINT32_MAX;
    }
    mq_intern *table = &pools->text_table;
    size_t at = hash_text(text, length) & (table->capacity - 1);
    for (; table->slots[at]; at = (at + 1) & (table->capacity - 1)) {
        if (is_same_text(pools->texts + table->slots[at] - 1, text, length)) {
            return table->slots[at] - 1;
        }
    }
    char *texts =
        pools->text_length < UINT32_MAX - length - 2
            ? mq_grow(&pools->allocator, pools->texts, &pools->text_capacity, pools->text_length + length + 1, 1)
            : NULL;
    if (!texts) {
        return UINT32_MAX;
    }
    pools->texts = texts;
    uint32_t number = (uint32_t)pools->text_length;
    memcpy(texts + number, text, length);
    texts[number + length] = 0;
    pools->text_length += length + 1;
    table->slots[at] = number + 1;
    table->count++;
    return number;
}

uint32_t mq_pools_place(masque_pools *pools, unsigned country, uint32_t region, uint32_t city, const char *geohash) {
    if (!grow(pools, &pools->place_table, hash_of_place)) {
        return UINT32_MAX;
    }
    mq_intern *table = &pools->place_table;
    size_t at = hash_place(country, region, city, geohash) & (table->capacity - 1);
    for (; table->slots[at]; at = (at + 1) & (table->capacity - 1)) {
        const mq_place *known = &pools->places[table->slots[at] - 1];
        if (known->country == country && known->region == region && known->city == city &&
            strcmp(known->geohash, geohash) == 0) {
            return table->slots[at] - 1;
        }
    }
    mq_place *places =
        mq_grow(&pools->allocator, pools->places, &pools->place_capacity, pools->place_count + 1, sizeof *places);
    if (!places) {
        return UINT32_MAX;
    }
    pools->places = places;
    uint32_t number = (uint32_t)pools->place_count++;
    size_t length = strlen(geohash);
    places[number] = (mq_place){.key = mq_geokey_of(geohash, length),
                                .point = mq_point_of(geohash, length),
                                .region = region,
                                .city = city,
                                .order = number,
                                .country = (uint16_t)country};
    memcpy(places[number].geohash, geohash, length + 1);
    table->slots[at] = number + 1;
    table->count++;
    return number;
}

bool mq_pools_prefix(masque_pools *pools, const mq_prefix *prefix) {
    mq_prefix *prefixes = pools->prefix_count < UINT32_MAX - 1
                              ? mq_grow(&pools->allocator, pools->prefixes, &pools->prefix_capacity,
                                        pools->prefix_count + 1, sizeof *prefixes)
                              : NULL;
    if (!prefixes) {
        return false;
    }
    pools->prefixes = prefixes;
    prefixes[pools->prefix_count++] = *prefix;
    return true;
}

static uint32_t *city_slot(const masque_pools *pools, unsigned country, uint32_t region, uint32_t city) {
    const mq_intern *table = &pools->city_table;
    size_t at = hash_place(country, region, city, "") & (table->capacity - 1);
    for (; table->slots[at]; at = (at + 1) & (table->capacity - 1)) {
        const mq_city *known = &pools->cities[table->slots[at] - 1];
        if (known->country == country && known->region == region && known->city == city) {
            break;
        }
    }
    return &table->slots[at];
}

bool mq_pools_city(masque_pools *pools, const mq_city *city) {
    if (!grow(pools, &pools->city_table, hash_of_city)) {
        return false;
    }
    uint32_t *slot = city_slot(pools, city->country, city->region, city->city);
    if (*slot) {
        return true;
    }
    mq_city *cities =
        mq_grow(&pools->allocator, pools->cities, &pools->city_capacity, pools->city_count + 1, sizeof *cities);
    if (!cities) {
        return false;
    }
    pools->cities = cities;
    cities[pools->city_count++] = *city;
    *slot = (uint32_t)pools->city_count;
    pools->city_table.count++;
    return true;
}

const char *mq_pools_city_geohash(const masque_pools *pools, unsigned country, uint32_t region, uint32_t city) {
    if (pools->city_table.capacity == 0) {
        return NULL;
    }
    uint32_t number = *city_slot(pools, country, region, city);
    number = number ? number : *city_slot(pools, country, 0, city);
    return number ? pools->cities[number - 1].geohash : NULL;
}

/* --- order ------------------------------------------------------------------------------------------ */

#define COMPARE(a, b) ((a) < (b) ? -1 : (a) > (b))

static int compare_places(const void *a, const void *b) {
    const mq_place *first = a, *second = b;
    int order = COMPARE(first->country, second->country);
    order = order ? order : COMPARE(first->key, second->key);
    order = order ? order : strcmp(first->geohash, second->geohash);
    return order ? order : COMPARE(first->order, second->order);
}

static int compare_by_address(const void *a, const void *b) {
    const mq_prefix *first = a, *second = b;
    int order = COMPARE(first->family, second->family);
    order = order ? order : memcmp(first->ip, second->ip, sizeof first->ip);
    return order ? order : COMPARE(first->length, second->length);
}

static int compare_by_place(const void *a, const void *b) {
    const mq_prefix *first = a, *second = b;
    int order = COMPARE(first->family, second->family);
    order = order ? order : COMPARE(first->place, second->place);
    return order ? order : memcmp(first->ip, second->ip, sizeof first->ip);
}

static bool covers(const mq_prefix *prefix, const uint8_t ip[16]) {
    unsigned bytes = prefix->length / 8, bits = prefix->length % 8;
    return memcmp(prefix->ip, ip, bytes) == 0 && (bits == 0 || (prefix->ip[bytes] ^ ip[bytes]) >> (8 - bits) == 0);
}

static void report_overlap(const masque_geo_reader *reader, const mq_prefix *one, const mq_prefix *other) {
    const masque_geo_problem problem = {.file = other->file,
                                        .line = other->line,
                                        .why = "the prefix overlaps another one",
                                        .other_file = one->file,
                                        .other_line = one->line};
    if (reader && reader->report) {
        reader->report(reader->context, &problem);
    }
}

/* Of equal ones the first stays; others may not overlap. A lenient reader does without those inside of others. */
static int drop_doubles(masque_pools *pools, const masque_geo_reader *reader) {
    size_t kept = 0;
    int error = 0;
    for (size_t i = 0; i < pools->prefix_count; i++) {
        const mq_prefix *prefix = &pools->prefixes[i];
        const mq_prefix *last = kept > 0 ? &pools->prefixes[kept - 1] : NULL;
        bool inside = last && last->family == prefix->family && covers(last, prefix->ip);
        if (inside && last->length != prefix->length) {
            report_overlap(reader, last, prefix);
            error = reader && reader->lenient ? error : MASQUE_ERR_INVALID;
        }
        if (!inside) {
            pools->prefixes[kept++] = *prefix;
        }
    }
    pools->prefix_count = error ? pools->prefix_count : kept;
    return error;
}

/* Places in order, and prefixes that know them by it. */
static int order_places(masque_pools *pools) {
    int error = mq_sort(&pools->allocator, pools->places, pools->place_count, sizeof *pools->places, compare_places);
    uint32_t *rank =
        error || pools->place_count == 0 ? NULL : mq_alloc(&pools->allocator, pools->place_count * sizeof *rank);
    if (error || (pools->place_count > 0 && !rank)) {
        return MASQUE_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < pools->place_count; i++) {
        rank[pools->places[i].order] = (uint32_t)i;
    }
    for (size_t i = 0; i < pools->prefix_count; i++) {
        pools->prefixes[i].place = rank[pools->prefixes[i].place];
    }
    for (size_t i = 0; i < pools->place_count; i++) {
        pools->places[i].order = (uint32_t)i; /* so that another try finds them as they are */
    }
    mq_free(&pools->allocator, rank);
    return 0;
}

/* Runs of one family and place become pools; the countries' bounds are noted. */
static void fill_index(const masque_pools *pools, mq_pool_index *index, size_t first, size_t end) {
    unsigned country = 0;
    index->count = 0;
    memset(index->with_geohash, 0xff, sizeof index->with_geohash);
    for (size_t i = first; i < end; i++) {
        uint32_t place_number = pools->prefixes[i].place;
        const mq_place *place = &pools->places[place_number];
        mq_pool *last = index->count > 0 ? &index->pools[index->count - 1] : NULL;
        if (last && last->place == place_number) {
            last->end++;
            continue;
        }
        for (; country <= place->country; country++) {
            index->country[country] = (uint32_t)index->count;
        }
        if (place->key != 0 && index->with_geohash[place->country] == UINT32_MAX) {
            index->with_geohash[place->country] = (uint32_t)index->count;
        }
        index->keys[index->count] = place->key;
        index->pools[index->count++] = (mq_pool){.place = place_number, .first = (uint32_t)i, .end = (uint32_t)i + 1};
    }
    for (; country <= MQ_COUNTRIES; country++) {
        index->country[country] = (uint32_t)index->count;
    }
    for (unsigned c = 0; c < MQ_COUNTRIES; c++) {
        index->with_geohash[c] = index->with_geohash[c] == UINT32_MAX ? index->country[c + 1] : index->with_geohash[c];
    }
}

static int build_index(masque_pools *pools, unsigned family, size_t first, size_t end) {
    mq_pool_index *index = &pools->index[family];
    size_t most = end - first < pools->place_count ? end - first : pools->place_count;
    if (most == 0) {
        fill_index(pools, index, first, first);
        return 0;
    }
    index->pools = mq_alloc(&pools->allocator, most * sizeof *index->pools);
    index->nodes = mq_zalloc(&pools->allocator, most * sizeof *index->nodes);
    index->keys = mq_alloc(&pools->allocator, most * sizeof *index->keys);
    index->samples = mq_alloc(&pools->allocator, (most / MQ_SAMPLE + 1) * sizeof *index->samples);
    if (!index->pools || !index->keys || !index->samples || !index->nodes) {
        return MASQUE_ERR_NO_MEMORY;
    }
    fill_index(pools, index, first, end);
    for (size_t i = 0; i < index->count; i += MQ_SAMPLE) {
        index->samples[i / MQ_SAMPLE] = index->keys[i];
    }
    mq_pool_trees_build(pools, index);
    return 0;
}

static int build_by_address(masque_pools *pools) {
    size_t count = pools->prefix_count;
    if (count == 0) {
        return 0;
    }
    mq_prefix *copy = mq_alloc(&pools->allocator, count * sizeof *copy);
    pools->by_address = mq_alloc(&pools->allocator, count * sizeof *pools->by_address);
    int error = copy && pools->by_address ? 0 : MASQUE_ERR_NO_MEMORY;
    for (size_t i = 0; i < count && !error; i++) {
        copy[i] = pools->prefixes[i];
        copy[i].line = (uint32_t)i; /* which is not asked for here */
    }
    error = error ? error : mq_sort(&pools->allocator, copy, count, sizeof *copy, compare_by_address);
    for (size_t i = 0; i < count && !error; i++) {
        pools->by_address[i] = copy[i].line;
    }
    mq_free(&pools->allocator, copy);
    return error;
}

static int build(masque_pools *pools) {
    int error = order_places(pools);
    error = error ? error
                  : mq_sort(&pools->allocator, pools->prefixes, pools->prefix_count, sizeof *pools->prefixes,
                            compare_by_place);
    if (error) {
        return error;
    }
    size_t middle = 0;
    while (middle < pools->prefix_count && pools->prefixes[middle].family == 0) {
        middle++;
    }
    pools->family_end = middle;
    error = build_index(pools, 0, 0, middle);
    error = error ? error : build_index(pools, 1, middle, pools->prefix_count);
    return error ? error : build_by_address(pools);
}

int masque_pools_seal(masque_pools *pools, const masque_geo_reader *reader) {
    if (pools->sealed) {
        return MASQUE_ERR_STATE;
    }
    int error =
        mq_sort(&pools->allocator, pools->prefixes, pools->prefix_count, sizeof *pools->prefixes, compare_by_address);
    error = error ? error : drop_doubles(pools, reader);
    error = error ? error : build(pools);
    if (!error) {
        forget_tables(pools);
        pools->sealed = true;
    }
    return error;
}

/* --- questions --------------------------------------------------------------------------------------- */

size_t masque_pools_count(const masque_pools *pools) {
    return pools->index[0].count + pools->index[1].count;
}

size_t masque_pools_prefixes(const masque_pools *pools) {
    return pools->prefix_count;
}

bool masque_pools_at(const masque_pools *pools, size_t index, masque_pool_prefix *told) {
    if (index >= pools->prefix_count) {
        return false;
    }
    const mq_prefix *prefix = &pools->prefixes[index];
    const mq_place *place = &pools->places[prefix->place];
    *told = (masque_pool_prefix){.prefix = {.family = prefix->family == 0 ? MASQUE_IPV4 : MASQUE_IPV6},
                                 .length = prefix->length,
                                 .region = mq_pools_text_at(pools, place->region),
                                 .city = mq_pools_text_at(pools, place->city),
                                 .geohash = place->geohash,
                                 .file = prefix->file,
                                 .line = prefix->line};
    memcpy(told->prefix.ip, prefix->ip, sizeof prefix->ip);
    mq_country_name(place->country, told->country);
    return true;
}

bool masque_pools_find(const masque_pools *pools, const masque_address *address, masque_pool_prefix *told) {
    bool ipv6 = address->family == MASQUE_IPV6;
    size_t low = ipv6 ? pools->family_end : 0, high = ipv6 ? pools->prefix_count : pools->family_end;
    if (!pools->sealed || (!ipv6 && address->family != MASQUE_IPV4)) {
        return false;
    }
    uint8_t ip[16] = {0};
    memcpy(ip, address->ip, ipv6 ? 16 : 4);
    size_t begin = low;
    while (low < high) { /* the first that begins behind ADDRESS */
        size_t middle = low + (high - low) / 2;
        if (memcmp(pools->prefixes[pools->by_address[middle]].ip, ip, sizeof ip) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > begin && covers(&pools->prefixes[pools->by_address[low - 1]], ip) &&
           masque_pools_at(pools, pools->by_address[low - 1], told);
}
