/*
 * examples/memory-client.h: a TLS client on memory. What it sends goes straight into
 * an engine, what it reads comes straight out of one: a network of no length.
 */
#ifndef EXAMPLES_MEMORY_CLIENT_H
#define EXAMPLES_MEMORY_CLIENT_H

#include <masqueproxy/masqueproxy.h>

/* Fields are private. */
typedef struct memory_client {
    masque_engine *engine;
    const masque_time *clock;
    masque_conn_id conn;
    void *context; /* WOLFSSL_CTX */
    void *tls;     /* WOLFSSL */
} memory_client;

/* Connects to ENGINE, whose certificate the one in CA_PATH vouches for, and shakes hands.
 *CLOCK is what time it is, now and in every other call. Any failure ends the program. */
void memory_client_open(memory_client *client, masque_engine *engine, const masque_time *clock, const char *ca_path);

/* Sends TEXT. */
void memory_client_write(memory_client *client, const char *text);

/* Takes what has come, at most SIZE - 1 bytes, as a text that ends with a zero. */
void memory_client_read(memory_client *client, char *text, size_t size);

/* Says in TLS that nothing follows; what comes can still be read. */
void memory_client_finish(memory_client *client);

/* Closes the transport and frees CLIENT's memory. */
void memory_client_close(memory_client *client);

#endif
