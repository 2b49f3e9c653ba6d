#include "certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#pragma GCC diagnostic pop

#define DER_MAX 2048
#define PEM_MAX 4096
#define VALID_DAYS 365

/* subjectAltName (RFC 5280 4.2.1.6): DNS localhost, IP 127.0.0.1, IP ::1. */
static const uint8_t ALT_NAMES[] = {0x30, 0x23, 0x82, 0x09, 'l', 'o', 'c',  'a',  'l', 'h', 'o', 's', 't',
                                    0x87, 0x04, 127,  0,    0,   1,   0x87, 0x10, 0,   0,   0,   0,   0,
                                    0,    0,    0,    0,    0,   0,   0,    0,    0,   0,   1};

typedef struct mqd_maker {
    WC_RNG rng;
    ecc_key ca_key;
    ecc_key server_key;
    Cert ca;
    Cert server;
    uint8_t der[DER_MAX];
    uint8_t pem[PEM_MAX];
} mqd_maker;

bool certificate_has_expired(const char *chain_pem, size_t length, char day[CERTIFICATE_DAY_SIZE]) {
    struct tm parts;
    WOLFSSL_X509 *certificate =
        wolfSSL_X509_load_certificate_buffer((const unsigned char *)chain_pem, (int)length, WOLFSSL_FILETYPE_PEM);
    const WOLFSSL_ASN1_TIME *end = certificate ? wolfSSL_X509_get_notAfter(certificate) : NULL;
    bool known = end && wolfSSL_ASN1_TIME_to_tm(end, &parts) == WOLFSSL_SUCCESS;
    wolfSSL_X509_free(certificate);
    if (!known || timegm(&parts) > time(NULL)) {
        return false;
    }
    return strftime(day, CERTIFICATE_DAY_SIZE, "%Y-%m-%d", &parts) > 0;
}

bool write_private_file(const char *path, const void *bytes, size_t length, mqd_message *message) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, bytes, length) == (ssize_t)length;
    if (!written) {
        say(message, "can't write %.300s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return written;
}

static bool write_pem(mqd_maker *maker, int der_length, int type, const char *path, mqd_message *message) {
    int length = der_length > 0 ? wc_DerToPem(maker->der, (word32)der_length, maker->pem, PEM_MAX, type) : -1;
    if (length <= 0) {
        say(message, "wolfSSL could not make %.200s; was it built with certificate generation?", path);
        return false;
    }
    return write_private_file(path, maker->pem, (size_t)length, message);
}

static void name_certificate(Cert *cert, const char *common_name) {
    wc_InitCert(cert);
    cert->sigType = CTC_SHA256wECDSA;
    cert->daysValid = VALID_DAYS;
    strncpy(cert->subject.org, "masqueproxy quick start", CTC_NAME_SIZE - 1);
    strncpy(cert->subject.commonName, common_name, CTC_NAME_SIZE - 1);
}

static int sign(mqd_maker *maker, Cert *cert, ecc_key *subject) {
    int length = wc_MakeCert(cert, maker->der, DER_MAX, NULL, subject, &maker->rng);
    if (length < 0) {
        return length;
    }
    return wc_SignCert(cert->bodySz, cert->sigType, maker->der, DER_MAX, NULL, &maker->ca_key, &maker->rng);
}

static bool make_ca(mqd_maker *maker, const char *path, mqd_message *message) {
    name_certificate(&maker->ca, "masqueproxy quick start CA");
    maker->ca.isCA = 1;
    maker->ca.selfSigned = 1;
    maker->ca.keyUsage = KEYUSE_KEY_CERT_SIGN | KEYUSE_CRL_SIGN;
    int length = wc_SetSubjectKeyIdFromPublicKey(&maker->ca, NULL, &maker->ca_key);
    length = length < 0 ? length : sign(maker, &maker->ca, &maker->ca_key);
    /* The server's certificate names its issuer from these bytes. */
    if (length > 0 && wc_SetIssuerBuffer(&maker->server, maker->der, length) != 0) {
        length = -1;
    }
    if (length > 0 && wc_SetAuthKeyIdFromPublicKey(&maker->server, NULL, &maker->ca_key) != 0) {
        length = -1;
    }
    return write_pem(maker, length, CERT_TYPE, path, message);
}

static bool make_server(mqd_maker *maker, const char *certificate_path, const char *key_path, mqd_message *message) {
    Cert *cert = &maker->server;
    memcpy(cert->altNames, ALT_NAMES, sizeof ALT_NAMES);
    cert->altNamesSz = sizeof ALT_NAMES;
    cert->keyUsage = KEYUSE_DIGITAL_SIG;
    wc_SetExtKeyUsage(cert, "serverAuth");
    if (!write_pem(maker, sign(maker, cert, &maker->server_key), CERT_TYPE, certificate_path, message)) {
        return false;
    }
    int length = wc_EccKeyToDer(&maker->server_key, maker->der, DER_MAX);
    return write_pem(maker, length, ECC_PRIVATEKEY_TYPE, key_path, message);
}

bool make_certificates(const char *ca_path, const char *certificate_path, const char *key_path, mqd_message *message) {
    mqd_maker maker;
    memset(&maker, 0, sizeof maker);
    bool ready = wc_InitRng(&maker.rng) == 0 && wc_ecc_init(&maker.ca_key) == 0 &&
                 wc_ecc_init(&maker.server_key) == 0 &&
                 wc_ecc_make_key_ex(&maker.rng, 32, &maker.ca_key, ECC_SECP256R1) == 0 &&
                 wc_ecc_make_key_ex(&maker.rng, 32, &maker.server_key, ECC_SECP256R1) == 0;
    if (!ready) {
        say(message, "wolfSSL could not make a key pair");
        return false;
    }
    name_certificate(&maker.server, "localhost");
    bool done = make_ca(&maker, ca_path, message) && make_server(&maker, certificate_path, key_path, message);
    wc_ecc_free(&maker.ca_key);
    wc_ecc_free(&maker.server_key);
    wc_FreeRng(&maker.rng);
    explicit_bzero(&maker, sizeof maker);
    return done;
}
