/*
 * verdicts.h: what slow checks of credentials found, on its way to the worker whose tunnel waits for it. Any thread
 * gives, the worker takes. No more are under way than tunnels wait.
 */
#ifndef CLI_VERDICTS_H
#define CLI_VERDICTS_H

#include <masqueproxy/masqueproxy.h>
#include <uv.h>

typedef struct mqd_verdict {
    masque_tunnel_id tunnel;
    masque_verdict verdict;
} mqd_verdict;

typedef struct mqd_verdicts {
    uv_mutex_t lock;
    uv_async_t *wake; /* NULL before the worker runs, and after */
    mqd_verdict *waiting;
    size_t count;
    size_t capacity;
} mqd_verdicts;

bool verdicts_init(mqd_verdicts *verdicts);
/* Nobody gives any more. */
void verdicts_free(mqd_verdicts *verdicts);

/* Who is woken; NULL: nobody is there any more, and what is given is dropped. */
void verdicts_attach(mqd_verdicts *verdicts, uv_async_t *wake);

/* Those of the worker whose thread this is; a worker says so once. */
void verdicts_set_own(mqd_verdicts *verdicts);
mqd_verdicts *verdicts_own(void);

/* False: no memory; then the tunnel's time limit ends its waiting. */
bool verdicts_give(mqd_verdicts *verdicts, masque_tunnel_id tunnel, masque_verdict verdict);

/* All that were given, *COUNT of them; the caller frees them. NULL: none. */
mqd_verdict *verdicts_take(mqd_verdicts *verdicts, size_t *count);

#endif
