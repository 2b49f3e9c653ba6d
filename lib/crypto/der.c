#include "crypto/der.h"

#include <string.h>

bool mq_der_next(mq_der *in, uint8_t *tag, mq_der *inside) {
    if (in->left < 2 || (in->at[0] & 0x1f) == 0x1f) {
        return false;
    }
    *tag = in->at[0];
    size_t head = 2;
    size_t length = in->at[1];
    if (length == 0x81 || length == 0x82) {
        head += length & 3;
        if (in->left < head) {
            return false;
        }
        bool one = length == 0x81;
        length = one ? in->at[2] : (size_t)in->at[2] << 8 | in->at[3];
        if (length < (one ? 0x80u : 0x100u)) {
            return false;
        }
    } else if (length >= 0x80) {
        return false;
    }
    if (in->left - head < length) {
        return false;
    }
    *inside = (mq_der){.at = in->at + head, .left = length};
    in->at += head + length;
    in->left -= head + length;
    return true;
}

bool mq_der_enter(mq_der *in, uint8_t tag, mq_der *inside) {
    uint8_t found;
    return in->left > 0 && in->at[0] == tag && mq_der_next(in, &found, inside);
}

bool mq_der_skip(mq_der *in, const uint8_t *expected, size_t length) {
    if (in->left < length || memcmp(in->at, expected, length) != 0) {
        return false;
    }
    in->at += length;
    in->left -= length;
    return true;
}
