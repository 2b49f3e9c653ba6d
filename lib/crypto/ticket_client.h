/*
 * crypto/ticket_client.h: what a session ticket remembers beside TLS's own secrets: when the client made its full
 * handshake, and who it showed to be by its certificate or raw public key, as a resumed session shows none.
 *
 * The whole identity is in the ticket, so that any worker or machine with its key knows it. wolfSSL leaves as much room
 * there as it was built with (WOLFSSL_TICKET_EXTRA_PADDING_SZ).
 */
#ifndef MQ_CRYPTO_TICKET_CLIENT_H
#define MQ_CRYPTO_TICKET_CLIENT_H

#include "crypto/peer.h"

/* How long after the full handshake a client may resume, however often it does: a day is what browsers keep tickets. */
#define MQ_TICKET_LIFETIME_S 86400
#define MQ_TICKET_TAG_LENGTH 16 /* AES-GCM's */

/* Are certificates asked for? */
typedef enum mq_clients { MQ_CLIENTS_UNASKED, MQ_CLIENTS_ASKED, MQ_CLIENTS_NEEDED } mq_clients;

/* Writes what a ticket for SSL, a WOLFSSL, is to remember to the ROOM bytes AT. Returns the length; 0: there is no room
   or no memory for it, or its certificate can't be read. */
size_t mq_ticket_client_write(void *ssl, const masque_allocator *allocator, mq_clients clients, uint8_t *at,
                              size_t room);

/* A ticket that a client came with says BYTES: keeps them with SSL until mq_ticket_client_forget(), when its session
   may be resumed. TAG is the ticket's own. False: it is too old, its certificate is over by now, BYTES are none of
   ours, memory is gone, or there was another one: a ClientHello may hold several, also such as were seen on the wire,
   and wolfSSL doesn't say which of those that it could open it took. */
bool mq_ticket_client_keep(void *ssl, const masque_allocator *allocator, const uint8_t tag[MQ_TICKET_TAG_LENGTH],
                           const uint8_t *bytes, size_t length);
/* SSL may be NULL. */
void mq_ticket_client_forget(void *ssl);

/* As mq_peer_of_tls(), of a session that was resumed, too. */
int mq_ticket_client_of(mq_peer **peer, const masque_allocator *allocator, void *ssl);

#endif
