/*
 * support/hint_key.h: a key of P-256 for signed hints, of `openssl ecparam -genkey -name prime256v1 -noout`.
 */
#ifndef SUPPORT_HINT_KEY_H
#define SUPPORT_HINT_KEY_H

static const char HINT_SECRET_PEM[] = "-----BEGIN EC PRIVATE KEY-----\n"
                                      "MHcCAQEEIGN3t6AJIckMKECGnZWL58Nd+BwID90SY/7swl1yV3JzoAoGCCqGSM49\n"
                                      "AwEHoUQDQgAEXHP4BgrJOGiC00EQf+EEzWtvSzEex/E+/Nw3oZxzT3vgh1/SB2A/\n"
                                      "vcXxcea6ywPa/0WLR3E9GmgA1KuSd/7cFw==\n"
                                      "-----END EC PRIVATE KEY-----\n";
static const char HINT_PUBLIC_PEM[] = "-----BEGIN PUBLIC KEY-----\n"
                                      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXHP4BgrJOGiC00EQf+EEzWtvSzEe\n"
                                      "x/E+/Nw3oZxzT3vgh1/SB2A/vcXxcea6ywPa/0WLR3E9GmgA1KuSd/7cFw==\n"
                                      "-----END PUBLIC KEY-----\n";

#endif
