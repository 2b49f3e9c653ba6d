/*
 * settings.h: what masqueproxyd was told, by flags, the environment and a file,
 * checked and in one place. Filled by options.c and config_file.c; turned into a
 * masque_config by proxy_config.c. Owns its texts.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <masqueproxy/masqueproxy.h>

#define LISTENERS_MAX 64
#define PRESHARED_MAX 64
#define WORKERS_MAX 256
#define MESSAGE_MAX 512
#define QUIC_KEYS_MAX 3
#define TOKEN_KEYS_MAX 64
#define ROLE_LISTENERS_MAX 8
#define ISSUER_KEYS_MAX 32
#define SPENT_TOKENS_DEFAULT 10000000u
/* What a listener serves unless told. */
#define PROTOCOLS_DEFAULT (MASQUE_PROTOCOL_ALL | MASQUE_PROTOCOL_H3)

/* One message for an operator: where, what, and what to do. */
typedef struct mqd_message {
    char text[MESSAGE_MAX];
} mqd_message;

/* A file that was named, and where: "p.yaml:4: “tls.certificate”" or "--certificate". */
typedef struct mqd_file {
    char *path;
    char *place;
} mqd_file;

/* The library's names of the methods that a listener may choose among. */
#define METHODS_MAX 4
const char *settings_method_name(const char *key);

typedef struct mqd_listener {
    masque_address address;
    unsigned protocols; /* MASQUE_PROTOCOL_… */
    unsigned number;    /* the library's, of the socket that has this address; 0: it gets one after a restart */
    char *place;        /* NULL: there is nothing of its own but these two */
    mqd_file certificate;
    mqd_file private_key;             /* without a certificate: a raw public key */
    const char *methods[METHODS_MAX]; /* static */
    size_t method_count;              /* 0: all */
    bool needs_certificate;
} mqd_listener;

/* What an identity may use. */
typedef struct quota_settings {
    char *place; /* "p.yaml:4: “quotas[0]”" */
    char *identity;
    masque_quota quota; /* its identity points to the one above */
} quota_settings;

typedef struct preshared_key {
    char *name;
    mqd_file file;
    char *value; /* instead of a file: from the environment; wiped after use */
} preshared_key;

/* A key of an issuer of Privacy Pass tokens, and what its tokens are to be made for. */
typedef struct token_key {
    char *place; /* "p.yaml:4: “auth.private-token[0]”" */
    char *issuer;
    char *origin;             /* NULL: any */
    char *public_key;         /* or NULL: those of the directory */
    char *directory;          /* its URL */
    char *directory_ca;       /* whom to trust there; NULL: whom the system does */
    mqd_file private_key;     /* type 1 only */
    char *redemption_context; /* Base64 */
    mqd_file redemption_secret;
    uint64_t redemption_period_ms; /* with the secret */
    masque_unix_time not_before;   /* 0: no bound */
    masque_unix_time not_after;
} token_key;

/* Where tokens that were shown are noted. */
typedef struct spent_settings {
    char *file; /* NULL: in memory alone */
    char *redis_url;
    mqd_file password; /* Redis's */
    char *place;       /* of either */
    uint64_t most;     /* tokens at a time */
} spent_settings;

/* A role that is served by HTTPS beside, or instead of, the proxy. */
typedef struct role_settings {
    masque_address listeners[ROLE_LISTENERS_MAX];
    size_t listener_count; /* 0: the role is not played */
    mqd_file certificate;
    mqd_file private_key;
    mqd_file client_ca; /* of the issuer: whom it signs for */
} role_settings;

typedef struct issuer_key_settings {
    masque_token_type type;
    mqd_file file;
    masque_unix_time not_before; /* 0: none */
} issuer_key_settings;

typedef struct issuer_settings {
    role_settings role;
    issuer_key_settings keys[ISSUER_KEYS_MAX];
    size_t key_count;
} issuer_settings;

typedef struct attester_settings {
    role_settings role;
    char *issuer; /* its URL */
    mqd_file issuer_ca;
    mqd_file basic; /* accounts */
    uint64_t tokens_per_account;
    uint64_t period_ms;
} attester_settings;

/* Of sockets that leave from an address of ours. */
typedef struct source_settings {
    bool freebind;                  /* addresses that are routed to this machine, though no interface has them */
    uint16_t port_first, port_last; /* 0: the system's */
    bool ports_by_system;           /* it chooses among them: see socket_prepare_source() */
} source_settings;

/* Who vouches for clients' places. */
typedef struct hint_key_settings {
    char *kid;
    mqd_file file;
} hint_key_settings;

/* Where clients leave, and how it is known where they are. */
typedef struct geo_settings {
    mqd_file *pools; /* geofeeds; none: the system chooses */
    size_t pool_count;
    mqd_file cities;
    mqd_file locations; /* of clients: a MaxMind database or a geofeed */
    masque_geo options;
    bool lenient;
    source_settings source;
    hint_key_settings *hint_keys;
    size_t hint_key_count;
    char *audience; /* ours, of signed hints; NULL: they aren't asked for */
    masque_hint_need hint_need;
    uint64_t hint_lifetime_s; /* 0: the library's */
} geo_settings;

typedef struct quic_key {
    unsigned id;
    mqd_file file;
} quic_key;

typedef enum log_format { LOG_TEXT, LOG_JSON } log_format;

typedef struct mqd_settings {
    char *config_file; /* NULL: none */
    bool quickstart;
    bool test_config;
    mqd_listener listeners[LISTENERS_MAX];
    size_t listener_count;
    mqd_file certificate;
    mqd_file private_key;
    bool raw_key;       /* shown in place of a certificate */
    mqd_file client_ca; /* of clients' certificates */
    mqd_file client_crl;
    char **certificate_rules; /* whom of those it signed */
    size_t certificate_rule_count;
    char *certificate_rules_place;
    bool certificate_needed;
    bool client_raw_keys;
    preshared_key preshared[PRESHARED_MAX];
    size_t preshared_count;
    token_key token_keys[TOKEN_KEYS_MAX];
    size_t token_key_count;
    spent_settings spent;
    mqd_file basic; /* accounts */
    bool challenge; /* 407 for a request without credentials */
    bool revoke_now;
    geo_settings geo;
    char *explain;        /* --explain-egress; NULL: not given */
    char *explain_target; /* "v4" or "v6"; NULL: both */
    bool check_pools;
    bool publish_geofeed;
    quota_settings *quotas;
    size_t quota_count;
    issuer_settings issuer;
    attester_settings attester;
    masque_target_rule *rules;
    size_t rule_count;
    quic_key quic_keys[QUIC_KEYS_MAX];
    size_t quic_key_count;
    uint32_t server_number;
    masque_congestion congestion;
    bool migration;
    char *udp_template; /* "off": no CONNECT-UDP; NULL: RFC 9298's */
    char *dns_servers;  /* "a,b", as c-ares wants them; NULL: the system's */
    masque_limits limits;
    masque_log_level log_level;
    log_format log_format;
    char *user;
    char *user_place; /* where it was named */
    unsigned workers; /* 0: as many as processors */
    uint64_t drain_timeout_ms;
} mqd_settings;

void settings_init(mqd_settings *settings);
void settings_free(mqd_settings *settings);

/* Copies TEXT into *SLOT, replacing what was there. Ends the program without memory. */
void settings_set_text(char **slot, const char *text);

void settings_set_file(mqd_file *file, const char *path, const char *place);

/* Each returns false with MESSAGE set (without a place: the caller knows it). */
bool settings_add_listener(mqd_settings *settings, const char *address, unsigned protocols, mqd_message *message);
bool settings_add_rule(mqd_settings *settings, bool allow, const char *text, mqd_message *message);
/* The listener at that very address, or NULL. */
mqd_listener *settings_find_listener(mqd_settings *settings, const masque_address *address);
/* Those of FROM in their place; FROM has none then. */
void settings_swap_listeners(mqd_settings *settings, mqd_settings *from);
/* One more, with what is LISTENER's. False: there are LISTENERS_MAX. */
bool settings_copy_listener(mqd_settings *settings, const mqd_listener *listener);
void settings_add_certificate_rule(mqd_settings *settings, const char *rule);
/* One more geofeed; PLACE is where it was named. */
void settings_add_pools(mqd_settings *settings, const char *path, const char *place);
void settings_add_hint_key(mqd_settings *settings, const char *kid, const char *path, const char *place);
/* Is something wanted of the pools, and no proxy? */
bool settings_only_report(const mqd_settings *settings);
void settings_add_quota(mqd_settings *settings, const masque_quota *quota, const char *place);
bool settings_add_preshared(mqd_settings *settings, const char *name, mqd_message *message);
/* To the key that was added last. */
void settings_set_key_file(mqd_settings *settings, const char *path, const char *place);
void settings_set_key_value(mqd_settings *settings, const char *value);
bool settings_set_log_level(mqd_settings *settings, const char *name, mqd_message *message);

/* A number of digits only, without a zero before it. */
bool parse_whole_number(const char *text, uint64_t *value, mqd_message *message);

/* "30s", "500ms", "2m", "1h", or a number of seconds. */
bool parse_duration(const char *text, uint64_t *milliseconds, mqd_message *message);

/* "2026-12-01", "2026-12-01T08:00:00Z", or seconds since 1970; all UTC. */
bool parse_time(const char *text, masque_unix_time *time, mqd_message *message);

/* "192.0.2.1:443", "[2001:db8::1]:443" or ":443" (every address). */
bool parse_endpoint(const char *text, masque_address *address, mqd_message *message);

/* Fills MESSAGE as printf does. */
__attribute__((format(printf, 2, 3))) void say(mqd_message *message, const char *format, ...);

#endif
