/*
 * quickstart.h: a proxy to try without a file: a CA, a certificate and a random
 * key in a state folder, a small HTTPS origin as the one target on this machine,
 * and the commands to type.
 */
#ifndef CLI_QUICKSTART_H
#define CLI_QUICKSTART_H

#include "settings.h"

/* Makes what is missing in the state folder and points SETTINGS at it. False with
   MESSAGE set. */
bool quickstart_prepare(mqd_settings *settings, mqd_message *message);

/* Starts the origin in a thread of its own, which lives as long as the process.
   False with MESSAGE set. */
bool quickstart_start_origin(const mqd_settings *settings, mqd_message *message);

/* Prints the commands; the proxy is ready. */
void quickstart_print(const mqd_settings *settings);

#endif
