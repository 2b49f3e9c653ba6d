#include "http/call.h"

#include <assert.h>

size_t mq_call_fields(const mq_call *call, masque_field fields[MQ_CALL_FIELDS_MAX]) {
    size_t count = 0;
    assert(call->field_count <= MQ_CALL_EXTRA_MAX);
    fields[count++] = (masque_field){.name = ":method", .value = "CONNECT"};
    if (call->udp) {
        fields[count++] = (masque_field){.name = ":protocol", .value = "connect-udp"};
        fields[count++] = (masque_field){.name = ":scheme", .value = "https"};
        fields[count++] = (masque_field){.name = ":path", .value = call->path};
    }
    fields[count++] = (masque_field){.name = ":authority", .value = call->authority};
    if (call->udp) {
        fields[count++] = (masque_field){.name = "capsule-protocol", .value = "?1"};
    }
    for (size_t i = 0; i < call->field_count; i++) {
        fields[count++] = call->fields[i];
    }
    return count;
}
