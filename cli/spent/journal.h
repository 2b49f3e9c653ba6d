/*
 * spent/journal.h: tokens that were shown, in memory and in a file, so that they stay spent over restarts, crashes and
 * power cuts. Tokens that come while the disk is busy are written together (group commit): no tunnel is allowed before
 * its token lies on the disk.
 *
 * The file is a head and records of 40 bytes, each with a checksum; those that a crash tore are passed over. It is
 * written anew, without the tokens of keys that are over, at the start and whenever it is twice as long as it need be.
 */
#ifndef CLI_SPENT_JOURNAL_H
#define CLI_SPENT_JOURNAL_H

#include "log.h"
#include "spent/memory.h"
#include "verdicts.h"

typedef struct spent_journal spent_journal;

/* Reads the file at PATH, which is made, with a line in the log, when there is none, into MEMORY, and starts a thread.
   One program at a time has it. NULL with MESSAGE set. MEMORY outlives it. */
spent_journal *spent_journal_open(const char *path, spent_memory *memory, const log_options *log, mqd_message *message);
/* What is under way is written first. JOURNAL may be NULL. */
void spent_journal_close(spent_journal *journal);

/* DENY or UNAVAILABLE at once; or PENDING, and VERDICTS get ALLOW or UNAVAILABLE. Any thread. */
masque_verdict spent_journal_spend(spent_journal *journal, const masque_spent_token *token, masque_unix_time now,
                                   mqd_verdicts *verdicts);

/* One record, for tests: false: its checksum is wrong. */
#define SPENT_RECORD_LENGTH 40u
bool spent_journal_read_record(const uint8_t record[SPENT_RECORD_LENGTH], masque_spent_token *token);

#endif
