/*
 * harness/host.c: the host's side of a client connection: what a loop with
 * sockets would do, in random pieces, and only when an event allowed it. So an
 * event that the engine forgets is a stall that a test sees.
 */
#include <string.h>

#include "harness/parts.h"

#define PULLS_MAX 64

static size_t segment_max(const sim_conn *conn) {
    size_t segment = conn->options.segment ? conn->options.segment : conn->world->setup.segment;
    return segment ? segment : 65536;
}

void sim_host_close(sim_conn *conn, bool reset) {
    /* A kernel answers bytes nobody read with a reset. */
    if (reset || conn->up.length > 0) {
        sim_pipe_reset(&conn->down);
    }
    conn->down.fin = true;
    sim_pipe_reset(&conn->up);
}

static void feed_own_memory(sim_conn *conn, size_t length) {
    static uint8_t bytes[65536];
    sim_world *w = conn->world;
    length = sim_pipe_read(&conn->up, bytes, length < sizeof bytes ? length : sizeof bytes);
    sim_alloc_side(SIM_PROXY);
    int error = masque_conn_feed(w->engine, conn->id, bytes, length, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_conn_feed: %s", masque_error_name(error));
}

static bool read_input(sim_conn *conn) {
    sim_world *w = conn->world;
    masque_iovec piece;
    if (conn->read_blocked || conn->up.length == 0) {
        return false;
    }
    if (!masque_conn_reserve(w->engine, conn->id, &piece)) {
        conn->read_blocked = true;
        return true;
    }
    size_t most = sim_random_size(&conn->chance, segment_max(conn));
    most = most < conn->up.length ? most : conn->up.length;
    if (sim_random(&conn->chance) % 4 == 0) {
        feed_own_memory(conn, most);
        return true;
    }
    size_t length = sim_pipe_read(&conn->up, piece.base, most < piece.length ? most : piece.length);
    sim_alloc_side(SIM_PROXY);
    int error = masque_conn_commit(w->engine, conn->id, length, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_conn_commit: %s", masque_error_name(error));
    return true;
}

static bool tell_end(sim_conn *conn) {
    sim_world *w = conn->world;
    bool over = conn->up.reset || (conn->up.fin && conn->up.length == 0);
    if (conn->fin_told || !over) {
        return false;
    }
    conn->fin_told = true;
    sim_alloc_side(SIM_PROXY);
    int error = (conn->up.reset ? masque_conn_failed : masque_conn_finished)(w->engine, conn->id, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "the end of the transport: %s", masque_error_name(error));
    return true;
}

/* One "writev": false when the socket took less than there was, or there is nothing. */
static bool write_once(sim_conn *conn) {
    sim_world *w = conn->world;
    masque_iovec pieces[4];
    sim_alloc_side(SIM_PROXY);
    size_t count = masque_conn_pull(w->engine, conn->id, pieces, 4, w->now);
    sim_alloc_side(SIM_TEST);
    size_t most = sim_random_size(&conn->chance, segment_max(conn));
    size_t taken = 0;
    bool all = true;
    for (size_t i = 0; i < count && all; i++) {
        size_t length = pieces[i].length < most - taken ? pieces[i].length : most - taken;
        size_t written = length > 0 ? sim_pipe_write(&conn->down, pieces[i].base, length) : 0;
        taken += written;
        all = written == pieces[i].length;
    }
    if (count == 0) {
        conn->want_write = false;
        return false;
    }
    conn->write_ends[conn->writes++ % 64] = conn->down.written;
    sim_alloc_side(SIM_PROXY);
    int error = masque_conn_pulled(w->engine, conn->id, taken, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_conn_pulled: %s", masque_error_name(error));
    return all;
}

static bool write_output(sim_conn *conn) {
    uint64_t before = conn->down.written;
    if (!conn->want_write || sim_pipe_room(&conn->down) == 0) {
        return false;
    }
    for (int i = 0; i < PULLS_MAX && conn->want_write && !conn->ended; i++) {
        bool more = write_once(conn);
        sim_events(conn->world);
        if (!more) {
            break;
        }
    }
    return conn->down.written != before;
}

bool sim_host_step(sim_conn *conn) {
    bool progress = false;
    if (!conn->id || conn->ended) {
        return false;
    }
    if (!conn->fin_told && read_input(conn)) {
        sim_events(conn->world);
        progress = true;
    }
    if (!conn->ended && tell_end(conn)) {
        sim_events(conn->world);
        progress = true;
    }
    if (!conn->ended && write_output(conn)) {
        progress = true;
    }
    return progress;
}
