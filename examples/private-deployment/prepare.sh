#!/bin/sh
# Makes all that the deployment needs, in ./state: a CA and certificates for three servers, the issuer's keys, an account,
# and the three configurations. Nothing that is there already is made again.
#
#   sh prepare.sh [STATE-FOLDER]
#
# Environment: MASQUEPROXY, the client program (default: masqueproxy, on the PATH or of this source's build).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
built=$here/../../build/release/cli
PATH=$PATH:$built
masqueproxy=${MASQUEPROXY:-masqueproxy}
state=${1:-$here/state}
command -v "$masqueproxy" >/dev/null || {
    echo 'prepare.sh: no masqueproxy; build it (see README.md beside this script), or say where it is: MASQUEPROXY=…' >&2
    exit 1
}
umask 077
mkdir -p "$state"
cd "$state"

curve='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'

if [ ! -e ca.crt ]; then
    # shellcheck disable=SC2086
    openssl req -x509 $curve -keyout ca.key -out ca.crt -days 365 -subj '/CN=Private deployment CA' \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>openssl.log
fi

certificate() { # NAME USAGE
    [ ! -e "$1.crt" ] || return 0
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%s\n' "$2" >extensions
    # shellcheck disable=SC2086
    openssl req -new $curve -keyout "$1.key" -out request -subj "/CN=$1" 2>>openssl.log
    openssl x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 365 -extfile extensions \
        2>>openssl.log
    rm -f request extensions
}
certificate proxy serverAuth
certificate issuer serverAuth
certificate attester serverAuth,clientAuth # it shows itself to the issuer

# The issuer's two keys: anybody can check tokens of the first, the proxy needs the second to check its.
[ -e rsa.pem ] || "$masqueproxy" token keygen --token-type 2 --out rsa.pem >rsa.public
[ -e voprf.key ] || "$masqueproxy" token keygen --token-type 1 --out voprf.key >voprf.public

if [ ! -e users.htpasswd ]; then
    openssl rand -base64 12 >password.txt
    "$masqueproxy" token account --user alice --password-file password.txt >users.htpasswd
fi

cat >issuer.yaml <<END
issuer:                              # sees blinded numbers; knows neither accounts nor targets
  listen: [ { address: "127.0.0.1:8443" } ]
  certificate: issuer.crt
  private-key: issuer.key
  client-ca: ca.crt                  # signs for attesters alone, which show a certificate for clients
  keys:
    - { token-type: 2, private-key-file: rsa.pem }
    - { token-type: 1, private-key-file: voprf.key }
END
cat >attester.yaml <<END
attester:                            # knows accounts; sees no token
  listen: [ { address: "127.0.0.1:8444" } ]
  certificate: attester.crt
  private-key: attester.key
  issuer: "https://localhost:8443"
  issuer-ca: ca.crt
  basic: { file: users.htpasswd }
  tokens-per-account: 100
  period: 1h
END
cat >proxy.yaml <<END
listen: [ { address: "127.0.0.1:4433" } ]
tls: { certificate: proxy.crt, private-key: proxy.key }
auth:                                # sees tokens; does not know whose
  private-token:
    - { issuer: issuer.example, origin: proxy.example, public-key: "$(cat rsa.public)" }
    - { issuer: issuer.example, origin: proxy.example, public-key: "$(cat voprf.public)", private-key-file: voprf.key }
  spent-tokens: { store: memory, file: spent.log }
targets: { allow: [ "127.0.0.0/8" ] } # for trying it out on one machine; leave it out elsewhere
END
echo "prepared in $state"
