/*
 * engine/client.c: connections that we open to a proxy, and tunnels that we ask it for. From the
 * answer on a tunnel is one like any other, see tunnel.c and udp_tunnel.c.
 */
#include <string.h>

#include "engine/udp_tunnel.h"
#include "policy/address_class.h"

/* "[2001:db8::1]:65535", or a name and a port. */
#define AUTHORITY_MAX (MQ_HOST_NAME_MAX + 8)

/* One that we opened and that still lives. */
static mq_conn *find_outbound(const masque_engine *engine, masque_conn_id id) {
    mq_conn *conn = mq_slots_find(&engine->conns, id);
    return conn && conn->outbound && conn->state < MQ_CONN_CLOSING ? conn : NULL;
}

/* --- connections --------------------------------------------------------------------- */

static int check(const masque_engine *engine, const masque_proxy *proxy) {
    const masque_config *config = engine->setup->config;
    unsigned protocols = proxy->protocols;
    bool h3 = protocols == MASQUE_PROTOCOL_H3;
    bool tls = protocols != 0 && (protocols & ~MASQUE_PROTOCOL_ALL) == 0;
    if (!mq_credentials_are_clients(&config->credentials)) {
        return MASQUE_ERR_NO_TRUST;
    }
    if (!h3 && !tls) {
        return MASQUE_ERR_INVALID;
    }
    if (engine->draining) {
        return MASQUE_ERR_DRAINED;
    }
    bool full = engine->conns.live >= config->limits.connections_max || mq_engine_is_past(engine, 95);
    return full ? MASQUE_ERR_OVERLOAD : 0;
}

static int outbound_init(mq_outbound *outbound, const masque_proxy *proxy) {
    const char *text = proxy->udp_template ? proxy->udp_template : MQ_TEMPLATE_DEFAULT;
    int error = mq_authority_parse(&outbound->proxy, proxy->authority, strlen(proxy->authority));
    if (!error) {
        error = mq_uri_template_compile(&outbound->udp_template, text);
    }
    outbound->path = (masque_packets){.local = mq_address_canonical(&proxy->local),
                                      .remote = mq_address_canonical(&proxy->remote),
                                      .socket = proxy->socket};
    mq_link_init(&outbound->link);
    return error;
}

/* What the certificate must be for. */
static const char *server_name(const mq_outbound *outbound, char text[MASQUE_ADDRESS_TEXT_MAX]) {
    masque_address address = outbound->proxy.address;
    if (outbound->proxy.name_length > 0) {
        return outbound->proxy.name;
    }
    address.port = 0;
    masque_address_format(&address, text, MASQUE_ADDRESS_TEXT_MAX);
    return text;
}

static int begin(mq_conn *conn, const masque_proxy *proxy) {
    masque_engine *engine = conn->engine;
    char text[MASQUE_ADDRESS_TEXT_MAX];
    conn->outbound = mq_zalloc(mq_engine_allocator(engine), sizeof *conn->outbound);
    if (!conn->outbound) {
        return MASQUE_ERR_NO_MEMORY;
    }
    conn->outbound->conn = conn;
    int error = outbound_init(conn->outbound, proxy);
    if (error) {
        return error;
    }
    const char *server = server_name(conn->outbound, text);
    if (proxy->protocols == MASQUE_PROTOCOL_H3) {
        return mq_packets_prepare(engine) ? mq_quic_conn_connect(conn, server) : MASQUE_ERR_NO_MEMORY;
    }
    error = mq_tls_stream_init_client(&conn->tls, conn->setup->tls, &engine->pool, server, proxy->protocols);
    return error ? error : mq_conn_handshake(conn);
}

masque_conn_id masque_connect(masque_engine *engine, const masque_proxy *proxy, void *user, masque_time now,
                              int *error) {
    engine->now = now;
    *error = check(engine, proxy);
    mq_conn *conn = *error ? NULL : mq_conn_new(engine, &proxy->remote);
    if (!conn) {
        *error = *error ? *error : MASQUE_ERR_NO_MEMORY;
        return 0;
    }
    conn->user = user;
    *error = begin(conn, proxy);
    if (*error) {
        mq_conn_del(conn);
        return 0;
    }
    masque_conn_id id = conn->id;
    engine->stats.connections_total++;
    mq_conn_settle(conn);
    return id;
}

int masque_conn_close(masque_engine *engine, masque_conn_id id, masque_time now) {
    mq_conn *conn = find_outbound(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    engine->now = now;
    mq_conn_begin_close(conn, 0);
    mq_conn_settle(conn);
    return 0;
}

void mq_client_opened(mq_conn *conn) {
    if (conn->state == MQ_CONN_OPEN) {
        conn->outbound->opened = true;
        mq_ready_set(conn->engine, &conn->ready, MASQUE_EVENT_CONN_OPEN);
    }
}

/* --- tunnels --------------------------------------------------------------------------- */

static bool is_field_name(const char *name) {
    for (const char *at = name; *at; at++) {
        bool good = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || strchr("!#$%&'*+-.^_`|~", *at);
        if (!good) {
            return false;
        }
    }
    return *name != 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* RFC 9110 5.5: no control characters, no blanks around it. */
static bool is_field_value(const char *value) {
    size_t length = strlen(value);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return length == 0 || !(is_blank(value[0]) || is_blank(value[length - 1]));
}

/* What the engine says itself, or no tunnel may say (RFC 9113 8.2.2, RFC 9297 3.2). */
static bool is_for_us(const char *name) {
    static const char *const ours[] = {
        "connection", "content-length",   "content-type", "capsule-protocol",  "host",
        "keep-alive", "proxy-connection", "te",           "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strcmp(name, ours[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The request as its session wants it; TEXTS hold what it points to. */
typedef struct mq_call_texts {
    char authority[AUTHORITY_MAX];
    char path[MQ_TEMPLATE_MAX + MQ_EXPANSION_MAX];
} mq_call_texts;

static int call_init(mq_call *call, mq_call_texts *texts, const mq_outbound *outbound,
                     const masque_tunnel_request *request) {
    mq_authority target;
    bool good = request->field_count <= MQ_CALL_EXTRA_MAX &&
                mq_authority_parse(&target, request->target, strlen(request->target)) == 0;
    for (size_t i = 0; i < request->field_count && good; i++) {
        const masque_field *field = &request->fields[i];
        good = is_field_name(field->name) && !is_for_us(field->name) && is_field_value(field->value);
    }
    if (!good) {
        return MASQUE_ERR_INVALID;
    }
    *call = (mq_call){.udp = request->transport == MASQUE_TRANSPORT_UDP,
                      .authority = texts->authority,
                      .path = texts->path,
                      .fields = request->fields,
                      .field_count = request->field_count};
    mq_authority_format(call->udp ? &outbound->proxy : &target, texts->authority, sizeof texts->authority);
    if (call->udp) {
        mq_uri_template_expand(&outbound->udp_template, &target, texts->path);
    }
    return 0;
}

static mq_tunnel *ask(mq_conn *conn, const masque_tunnel_request *request, int *error) {
    mq_call_texts texts;
    mq_call call;
    *error = call_init(&call, &texts, conn->outbound, request);
    if (*error) {
        return NULL;
    }
    mq_tunnel *tunnel = mq_tunnel_new(conn);
    if (!tunnel) {
        *error = MASQUE_ERR_NO_MEMORY;
        return NULL;
    }
    tunnel->asked = true;
    *error = call.udp ? mq_udp_new(tunnel) : 0;
    if (!*error) {
        conn->session->now = conn->engine->now;
        *error = conn->session->ops->request(conn->session, &tunnel->stream, &call);
    }
    if (*error) {
        mq_tunnel_del(tunnel);
        return NULL;
    }
    if (tunnel->udp) {
        tunnel->udp->answered = true; /* nobody is spared what it asked for */
    }
    return tunnel;
}

masque_tunnel_id masque_tunnel_open(masque_engine *engine, masque_conn_id id, const masque_tunnel_request *request,
                                    void *user, masque_time now, int *error) {
    mq_conn *conn = find_outbound(engine, id);
    engine->now = now;
    *error = 0;
    if (!conn) {
        *error = MASQUE_ERR_STALE;
    } else if (!conn->outbound->opened) {
        *error = MASQUE_ERR_STATE;
    } else if (conn->tunnel_count >= conn->setup->config->limits.tunnels_per_connection_max) {
        *error = MASQUE_ERR_OVERLOAD;
    }
    mq_tunnel *tunnel = *error ? NULL : ask(conn, request, error);
    if (!tunnel) {
        return 0;
    }
    tunnel->user = user;
    masque_tunnel_id handle = tunnel->id;
    mq_conn_settle(conn);
    return handle;
}

void mq_client_answered(mq_tunnel *tunnel, mq_answer *answer, bool opened) {
    masque_engine *engine = tunnel->conn->engine;
    tunnel->answer = *answer;
    *answer = (mq_answer){.allocator = NULL};
    tunnel->asked = false;
    mq_ready_set(engine, &tunnel->ready, MASQUE_EVENT_TUNNEL_ANSWER);
    if (!opened) {
        mq_tunnel_end(tunnel, false);
        return;
    }
    mq_tunnel_opened(tunnel);
    mq_tunnel_let_target_be_read(tunnel);
}
