/*
 * http/h1_parser.h: a strict reader of HTTP/1.1 heads, requests and answers (RFC 9112
 * 2.2, 3, 4, 5). A proxy needs CONNECT and Upgrade, so nothing is lenient: what two
 * readers could understand differently is refused. Pure functions.
 */
#ifndef MQ_HTTP_H1_PARSER_H
#define MQ_HTTP_H1_PARSER_H

#include "http/answer.h"
#include "http/request.h"
#include "http/response.h"

/* Looks for the end of the head, an empty line. Returns the bytes up to and with
   it, or 0 when it isn't there yet. *SCANNED, from 0, remembers between calls how
   far was looked. */
size_t mq_h1_head_end(const char *bytes, size_t length, size_t *scanned);

/* Reads a complete head into REQUEST. Returns MQ_REFUSAL_NONE, _MALFORMED, _BAD_AUTHORITY
   (of its Host), _TOO_LARGE or _INTERNAL (no memory). */
mq_refusal mq_h1_parse(mq_request *request, const masque_limits *limits, const char *head, size_t length);

/* The same of an answer. 0, MASQUE_ERR_PROTOCOL, MASQUE_ERR_FLOOD or MASQUE_ERR_NO_MEMORY; ANSWER is to
   be freed after an error, too. */
int mq_h1_parse_answer(mq_answer *answer, const masque_allocator *allocator, const masque_limits *limits,
                       const char *head, size_t length);

#endif
