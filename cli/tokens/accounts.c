#include "tokens/accounts.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files.h"
#include "random.h"

#define ACCOUNTS_MAX 100000u
#define BCRYPT_COST 12
#define KNOWN_MAX 4096u
#define KNOWN_S 300

typedef struct account_entry {
    char *name;
    char *hash;
} account_entry;

/* A credential that was right. */
typedef struct known_credential {
    uint8_t digest[ACCOUNT_DIGEST_LENGTH];
    time_t until;
} known_credential;

struct accounts {
    account_entry *entries;
    size_t count;
    char *text; /* which they point into */
    size_t length;
    uint8_t key[ACCOUNT_DIGEST_LENGTH]; /* of digests; random */
    pthread_mutex_t lock;
    uint8_t (*marks)[MASQUE_IDENTITY_MARK_LENGTH]; /* sorted; NULL: nobody asked yet */
    known_credential known[KNOWN_MAX];             /* by the digest's first bytes; a newer one takes the place */
};

static bool is_strong(const char *hash) {
    static const char *const prefixes[] = {"$2a$", "$2b$", "$2y$", "$7$", "$y$", "$gy$"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(hash, prefixes[i], strlen(prefixes[i])) == 0) {
            return strlen(hash) > 20;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b) {
    const account_entry *first = a;
    const account_entry *second = b;
    return strcmp(first->name, second->name);
}

static bool add(accounts *list, char *line, const char *path, unsigned number, mqd_message *message) {
    char *colon = strchr(line, ':');
    if (line[0] == 0 || line[0] == '#') {
        return true;
    }
    if (!colon || colon == line || (size_t)(colon - line) > ACCOUNT_NAME_MAX) {
        say(message, "%.200s:%u: expected NAME:HASH, with a name of 1 to %u bytes", path, number, ACCOUNT_NAME_MAX);
        return false;
    }
    *colon = 0;
    if (!is_strong(colon + 1)) {
        say(message,
            "%.200s:%u: the hash is of no kind that is taken; expected bcrypt, as `htpasswd -B` makes it, "
            "scrypt or yescrypt",
            path, number);
        return false;
    }
    account_entry *entries =
        list->count < ACCOUNTS_MAX ? realloc(list->entries, (list->count + 1) * sizeof *entries) : NULL;
    if (!entries) {
        say(message, "%.200s: there are more than %u accounts, or there is no memory", path, ACCOUNTS_MAX);
        return false;
    }
    list->entries = entries;
    entries[list->count++] = (account_entry){.name = line, .hash = colon + 1};
    return true;
}

static bool add_all(accounts *list, const char *path, mqd_message *message) {
    unsigned number = 0;
    char *rest = list->text;
    while (rest && *rest) {
        char *line = strsep(&rest, "\n");
        line[strcspn(line, "\r")] = 0;
        if (!add(list, line, path, ++number, message)) {
            return false;
        }
    }
    if (list->count == 0) {
        say(message, "%.200s: there is no account in it", path);
        return false;
    }
    qsort(list->entries, list->count, sizeof *list->entries, by_name);
    for (size_t i = 1; i < list->count; i++) {
        if (strcmp(list->entries[i - 1].name, list->entries[i].name) == 0) {
            say(message, "%.200s: the account “%.60s” is there twice", path, list->entries[i].name);
            return false;
        }
    }
    return true;
}

accounts *accounts_parse(char *text, size_t length, const char *path, mqd_message *message) {
    accounts *list = calloc(1, sizeof *list);
    if (!list) {
        say(message, "out of memory");
        forget_secret(text, length);
        return NULL;
    }
    list->text = text;
    list->length = length;
    system_random(NULL, list->key, sizeof list->key);
    pthread_mutex_init(&list->lock, NULL);
    if (!add_all(list, path, message)) {
        accounts_free(list);
        return NULL;
    }
    return list;
}

accounts *accounts_read(const char *path, mqd_message *message) {
    size_t length;
    char *text = read_secret_file(path, &length, message);
    return text ? accounts_parse(text, length, path, message) : NULL;
}

void accounts_free(accounts *list) {
    if (list) {
        forget_secret(list->text, list->length);
        free(list->entries);
        free(list->marks);
        pthread_mutex_destroy(&list->lock);
        explicit_bzero(list, sizeof *list);
        free(list);
    }
}

static bool same(const char *a, const char *b) {
    volatile char difference = 0;
    size_t length = strlen(a);
    if (strlen(b) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        difference = (char)(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}

static const account_entry *find(const accounts *list, const char *name) {
    char copy[ACCOUNT_NAME_MAX + 1];
    snprintf(copy, sizeof copy, "%s", name);
    const account_entry wanted = {.name = copy};
    return bsearch(&wanted, list->entries, list->count, sizeof wanted, by_name);
}

/* --- marks -------------------------------------------------------------------------------------------------------- */

static void mark_of(const account_entry *entry, uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]) {
    char line[ACCOUNT_NAME_MAX + ACCOUNT_LINE_MAX];
    uint8_t digest[32] = {0};
    int length = snprintf(line, sizeof line, "%s:%s", entry->name, entry->hash);
    length = length < (int)sizeof line ? length : (int)sizeof line - 1;
    gnutls_hash_fast(GNUTLS_DIG_SHA256, line, (size_t)length, digest);
    memcpy(mark, digest, MASQUE_IDENTITY_MARK_LENGTH);
    explicit_bzero(line, sizeof line);
}

void accounts_mark(const accounts *list, const char *name, uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]) {
    const account_entry *entry = find(list, name);
    memset(mark, 0, MASQUE_IDENTITY_MARK_LENGTH);
    if (entry) {
        mark_of(entry, mark);
    }
}

static int by_bytes(const void *a, const void *b) {
    return memcmp(a, b, MASQUE_IDENTITY_MARK_LENGTH);
}

bool accounts_has_mark(accounts *list, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]) {
    pthread_mutex_lock(&list->lock);
    if (!list->marks && (list->marks = calloc(list->count, sizeof *list->marks))) {
        for (size_t i = 0; i < list->count; i++) {
            mark_of(&list->entries[i], list->marks[i]);
        }
        qsort(list->marks, list->count, sizeof *list->marks, by_bytes);
    }
    /* Without memory nobody's tunnel suffers. */
    bool known = !list->marks || bsearch(mark, list->marks, list->count, sizeof *list->marks, by_bytes);
    pthread_mutex_unlock(&list->lock);
    return known;
}

/* --- passwords ---------------------------------------------------------------------------------------------------- */

static bool hash_fits(const accounts *list, const account_credential *credential) {
    const account_entry *entry = find(list, credential->name);
    const char *hash = entry ? entry->hash : list->entries[0].hash; /* as long for a name that isn't there */
    struct crypt_data *data = calloc(1, sizeof *data);              /* 32 KiB */
    if (!data) {
        return false;
    }
    const char *found = crypt_r(credential->password, hash, data);
    bool good = entry && found && same(found, hash);
    explicit_bzero(data, sizeof *data);
    free(data);
    return good;
}

static known_credential *place_of(accounts *list, const account_credential *credential) {
    return &list->known[((size_t)credential->digest[0] << 8 | credential->digest[1]) % KNOWN_MAX];
}

bool accounts_remember(accounts *list, const account_credential *credential) {
    pthread_mutex_lock(&list->lock);
    const known_credential *place = place_of(list, credential);
    bool known = place->until > time(NULL) && memcmp(place->digest, credential->digest, sizeof place->digest) == 0;
    pthread_mutex_unlock(&list->lock);
    return known;
}

bool accounts_check(accounts *list, const account_credential *credential) {
    bool good = hash_fits(list, credential);
    if (good) {
        pthread_mutex_lock(&list->lock);
        known_credential *place = place_of(list, credential);
        memcpy(place->digest, credential->digest, sizeof place->digest);
        place->until = time(NULL) + KNOWN_S;
        pthread_mutex_unlock(&list->lock);
    }
    return good;
}

bool account_line_make(char line[ACCOUNT_LINE_MAX], const char *name, const char *password, mqd_message *message) {
    struct crypt_data *data = calloc(1, sizeof *data);
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    size_t length = strlen(name);
    if (length == 0 || length > ACCOUNT_NAME_MAX || strpbrk(name, ":\r\n#") || !password[0] || strlen(password) > 72) {
        say(message, "a name has 1 to %u bytes, none of them a colon or #, and a password 1 to 72", ACCOUNT_NAME_MAX);
        free(data);
        return false;
    }
    const char *hash = data && crypt_gensalt_rn("$2b$", BCRYPT_COST, NULL, 0, setting, sizeof setting)
                           ? crypt_r(password, setting, data)
                           : NULL;
    bool made = hash && hash[0] != '*';
    if (made) {
        snprintf(line, ACCOUNT_LINE_MAX, "%s:%s", name, hash);
    } else {
        say(message, "no hash could be made");
    }
    if (data) {
        explicit_bzero(data, sizeof *data);
    }
    free(data);
    return made;
}

bool account_credential_read(account_credential *credential, const accounts *list, const char *base64, size_t length) {
    uint8_t bytes[ACCOUNT_NAME_MAX + 1 + ACCOUNT_PASSWORD_MAX];
    size_t count;
    bool good = masque_base64_decode(bytes, sizeof bytes, &count, base64, length) && !memchr(bytes, 0, count);
    const uint8_t *colon = good ? memchr(bytes, ':', count) : NULL;
    size_t name = colon ? (size_t)(colon - bytes) : 0;
    good = colon && name > 0 && name <= ACCOUNT_NAME_MAX && count - name - 1 <= ACCOUNT_PASSWORD_MAX;
    good =
        good && gnutls_hmac_fast(GNUTLS_MAC_SHA256, list->key, sizeof list->key, bytes, count, credential->digest) == 0;
    if (good) {
        memset(credential->name, 0, sizeof credential->name);
        memcpy(credential->name, bytes, name);
        memcpy(credential->password, colon + 1, count - name - 1);
        credential->password[count - name - 1] = 0;
    }
    explicit_bzero(bytes, sizeof bytes);
    return good;
}
