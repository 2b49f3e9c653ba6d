#include "crypto/digest.h"

#include "crypto/wolfssl.h"

int mq_sha256(uint8_t digest[MQ_SHA256_LENGTH], const mq_piece *pieces, size_t count) {
    wc_Sha256 sha;
    int code = wc_InitSha256(&sha);
    for (size_t i = 0; i < count && code == 0; i++) {
        code = pieces[i].length > 0 ? wc_Sha256Update(&sha, pieces[i].bytes, (word32)pieces[i].length) : 0;
    }
    code = code ? code : wc_Sha256Final(&sha, digest);
    wc_Sha256Free(&sha);
    return code ? MASQUE_ERR_CRYPTO : 0;
}
