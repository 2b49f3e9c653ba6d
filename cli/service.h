/*
 * service.h: what the system around a server wants: sockets from and notes to
 * systemd, no core dumps, no privileges after binding.
 */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include "settings.h"

/* Listening sockets that were passed on (LISTEN_FDS); *FIRST is the first
   descriptor. Their number, 0 for none. */
int service_passed_sockets(int *first);

/* Puts the addresses of the passed sockets, if any, in the place of the listeners. False
   with MESSAGE set when what was passed on is no such socket. */
bool service_use_passed_addresses(mqd_settings *settings, mqd_message *message);

/* Tells NOTIFY_SOCKET, if set: "READY=1", "RELOADING=1", "STOPPING=1". */
void service_notify(const char *state);

/* No core dump, no debugger: memory holds keys. */
void service_hide_memory(void);

/* False with MESSAGE set when there is no such user; none named is fine. */
bool service_user_exists(const mqd_settings *settings, mqd_message *message);

/* Becomes that user, if one is named, and can gain no privilege from then on. False with
   MESSAGE set. */
bool service_drop_privileges(const mqd_settings *settings, mqd_message *message);

#endif
