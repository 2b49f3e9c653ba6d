/*
 * masqueproxy/auth.h: who may open tunnels.
 *
 * Every request passes one door. There the methods of the configuration are
 * asked in their order; the first that does not answer MASQUE_AUTH_NEXT has
 * decided. When all answer NEXT the request is denied. No code reaches a dial
 * without an allow verdict for this very request.
 */
#ifndef MASQUE_AUTH_H
#define MASQUE_AUTH_H

#include <masqueproxy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum masque_verdict {
    MASQUE_AUTH_NEXT, /* not a credential of this method */
    MASQUE_AUTH_ALLOW,
    MASQUE_AUTH_DENY,       /* 403; counts as a failed authentication */
    MASQUE_AUTH_PENDING,    /* masque_authorized() will be called */
    MASQUE_AUTH_UNAVAILABLE /* 503: the check can't be made now; doesn't count */
} masque_verdict;

/* A client's certificate, whose chain TLS has verified (RFC 5280), on this very connection or on the one whose session
   it resumes; or its raw public key (RFC 7250), which it has shown to hold, and nobody vouches for. */
typedef struct masque_peer {
    bool is_raw_key;          /* then there is nothing but the hash */
    const char *subject;      /* RFC 4514: "CN=gateway 7,O=Example" */
    const char *const *names; /* of its alternative name: "DNS:a.example", "URI:spiffe://example/a" */
    size_t name_count;
    uint8_t key_hash[32]; /* SHA-256 of its SubjectPublicKeyInfo */
} masque_peer;

/* Whom a method found the client to be. */
#define MASQUE_IDENTITY_MAX 255
#define MASQUE_IDENTITY_MARK_LENGTH 16
typedef struct masque_identity {
    /* For quotas (quota.h), e.g. an account; "": nobody in particular. Nothing keeps it longer than the request. */
    char name[MASQUE_IDENTITY_MAX + 1];
    /* Of the very credential, e.g. of an account's present password: what method's `still` is asked with when the
       configuration has changed. A hash, as tunnels keep it. */
    uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH];
} masque_identity;

/* What a method may look at. All pointers are valid during the call only. */
typedef struct masque_auth_request {
    masque_tunnel_id tunnel;      /* for masque_authorized() */
    const masque_address *client; /* as given to masque_accept() */
    const masque_peer *peer;      /* NULL: the client showed no certificate, or was not asked for one */
    /* The one credential of the request: the value of Proxy-Authorization, or of
       Authorization when that is absent (RFC 9110 11.7, 11.6). Split at the
       first space; see masque_auth_is_scheme(). Both empty (length 0) when there is
       none. */
    const char *scheme;
    size_t scheme_length;
    const char *credential;
    size_t credential_length;
    masque_identity *identity; /* empty; for masque_auth_identify() */
} masque_auth_request;

/*
 * A method. The table and CONTEXT are used by every engine that has the
 * configuration, from that engine's thread; they must be immutable or do their
 * own locking. The library keeps a copy of the table.
 */
typedef struct masque_auth_method {
    /* A word for logs and metrics, e.g. "preshared"; static. Mandatory. */
    const char *name;
    /* Mandatory. Must not call the engine. On MASQUE_AUTH_PENDING it has taken
       note of request->tunnel; a MASQUE_EVENT_AUTHORIZE follows, and the host
       calls masque_authorized() once, in this or a later turn of its loop. */
    masque_verdict (*check)(void *context, const masque_auth_request *request);
    /* What the method asks for, as a value of Proxy-Authenticate (RFC 9110 11.7.1), with a final zero into SIZE bytes
       at TEXT; returns its length, or 0: nothing, or it does not fit. For masque_config_set_challenge(). May be NULL.
     */
    size_t (*challenge)(void *context, char *text, size_t size);
    /* Is MARK, that of somebody whom the method of this name allowed in an earlier configuration, one whom it would
       still allow? For masque_config_set_revocation(). NULL: yes. */
    bool (*still)(void *context, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]);
    /* Called once when the last user of the configuration is gone. May be NULL. */
    void (*release)(void *context);
    void *context;
} masque_auth_method;

/* Is the request's scheme SCHEME? Compared without case (RFC 9110 11.1). For methods. */
MASQUE_EXTERN bool masque_auth_is_scheme(const masque_auth_request *request, const char *scheme);

/* For methods, in `check`: says who REQUEST's client is, should it be allowed; also when the verdict is PENDING, unless
   masque_authorized_as() knows better. A NAME longer than MASQUE_IDENTITY_MAX is cut. MARK may be NULL. */
MASQUE_EXTERN void masque_auth_identify(const masque_auth_request *request, const char *name, const uint8_t *mark);

/* The longest pre-shared key, in bytes. */
#define MASQUE_PRESHARED_KEY_MAX 256
/* The shortest that is taken: below it a key can be guessed. */
#define MASQUE_PRESHARED_KEY_MIN 8
/* The longest name of a key. */
#define MASQUE_PRESHARED_NAME_MAX 63

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_AUTH_H */
