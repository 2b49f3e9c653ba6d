/*
 * files.h: whole small files: certificates, keys, configurations.
 */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "settings.h"

/* The whole file as a zero-ended text of *LENGTH bytes, or NULL with MESSAGE set. To be freed. */
char *read_whole_file(const char *path, size_t *length, mqd_message *message);

/* The same for tables of up to 512 MiB. */
char *read_large_file(const char *path, size_t *length, mqd_message *message);

/* The same for a secret, to be given to forget_secret(). A file that everybody may read, or that others than its owner
   may write, is refused. */
char *read_secret_file(const char *path, size_t *length, mqd_message *message);

/* The same of a password: what stands before the first line's end. *LENGTH is the file's, to be forgotten. */
char *read_password_file(const char *path, size_t *length, mqd_message *message);

/* Writes a secret into a file that isn't there yet, for its owner alone: whole, or not at all. False with MESSAGE set.
 */
bool write_new_secret(const char *path, const char *text, size_t length, mqd_message *message);

/* Wipes and frees. SECRET may be NULL. */
void forget_secret(char *secret, size_t length);

/* A file's name is on the disk when its folder is. False with MESSAGE set. */
bool sync_folder_of(const char *path, mqd_message *message);

/* One line, and at most its end behind it? */
bool is_one_line(const char *text, size_t length);

#endif
