/*
 * certificates.h: a CA and a server certificate for trying things out, made with
 * wolfSSL. ECDSA P-256, valid for a year, for localhost, 127.0.0.1 and ::1. The
 * CA's own key is thrown away: nothing else can ever be signed with it.
 */
#ifndef CLI_CERTIFICATES_H
#define CLI_CERTIFICATES_H

#include "settings.h"

/* Is the last day of CHAIN's first certificate past? DAY is it then, "2027-01-31". False
   for what is no certificate, too. */
#define CERTIFICATE_DAY_SIZE 11
bool certificate_has_expired(const char *chain_pem, size_t length, char day[CERTIFICATE_DAY_SIZE]);

/* Writes three PEM files. False with MESSAGE set. */
bool make_certificates(const char *ca_path, const char *certificate_path, const char *key_path, mqd_message *message);

/* Writes a file that only its owner can read. False with MESSAGE set. */
bool write_private_file(const char *path, const void *bytes, size_t length, mqd_message *message);

#endif
