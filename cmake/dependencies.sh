#!/bin/sh
# Prepares a Debian machine to build libmasqueproxy: Debian packages, and the
# four protocol libraries (cmake/versions) in a prefix under the user's cache
# folder. Nothing is fetched or built twice.
#
#   sh cmake/dependencies.sh build     what a build needs
#   sh cmake/dependencies.sh test      the same, and what the tests need
#   sh cmake/dependencies.sh peers     foreign clients for tests/interop, as far as they can be had; prints where
#   sh cmake/dependencies.sh prefix    prints the prefix, does nothing else
#
# Environment:
#   MASQUE_TARBALLS   a folder with the tarballs; then apt's suites aren't asked
#   XDG_CACHE_HOME    where the cache folder lies (default ~/.cache)
#
# A step prints one line; its output goes to a log that is named on failure.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/masqueproxy
arch=$(uname -m)
# The recipe is part of the key: another version or configure line, another prefix.
key=$({ grep -v '^#' "$root/cmake/versions"; sed -n '/^# --- builds/,/^# --- builds end/p' "$0"; } | sha256sum | cut -c1-12)
prefix=$cache/prefix-$arch-$key
sources=$cache/sources
logs=$cache/logs
jobs=$(nproc 2>/dev/null || echo 2)

build_packages='autoconf automake libtool make cmake ninja-build gcc g++ pkg-config xz-utils
ca-certificates openssl curl libuv1-dev libc-ares-dev libcyaml-dev libjansson-dev libyaml-dev libmicrohttpd-dev
libgnutls28-dev libcurl4-gnutls-dev libcrypt-dev libhiredis-dev libmaxminddb-dev'
test_packages='libcmocka-dev clang clang-format libclang-rt-14-dev llvm-14 python3 python3-venv valgrind git binutils procps iproute2
liblzf1 libjemalloc2 libatomic1 gnutls-bin tzdata'

say() { printf '%s\n' "$*"; }

fail() {
    printf 'dependencies: %s\n' "$*" >&2
    exit 1
}

# step TEXT LOG COMMAND...: runs COMMAND quietly
step() {
    text=$1 log=$logs/$2.log
    shift 2
    started=$(date +%s)
    printf '  %-52s ' "$text"
    if "$@" >"$log" 2>&1 </dev/null; then
        say "done ($(($(date +%s) - started)) s)"
    else
        say 'FAILED'
        tail -n 15 "$log" >&2
        fail "“$text” failed; its whole output is in $log"
    fi
}

# --- Debian packages -------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

apt_install() {
    # A first failure may be an old package list, so it is renewed then.
    as_root apt-get install -y --no-install-recommends "$@" ||
        { as_root apt-get update && as_root apt-get install -y --no-install-recommends "$@"; }
}

# Redis for the tests, without the service that its package starts: unpacked beside our sources.
unpack_redis() {
    rm -rf "$cache/redis"
    mkdir -p "$cache/redis/packages"
    (cd "$cache/redis/packages" &&
        { apt-get download redis-server redis-tools || { as_root apt-get update && apt-get download redis-server redis-tools; }; })
    for package in "$cache"/redis/packages/*.deb; do
        dpkg -x "$package" "$cache/redis"
    done
    rm -rf "$cache/redis/packages"
}

install_packages() {
    command -v dpkg-query >/dev/null || fail 'this machine has no dpkg: build with -DMASQUE_DEPS=system (README.md, "Other systems")'
    missing=
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        fail "please install as root, then run this again: apt-get install --no-install-recommends$missing"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    step "install $(echo "$missing" | wc -w) Debian packages" packages apt_install $missing
}

# --- sources ---------------------------------------------------------------

# The machine's own mirror and keyring: "URI KEYRING" of every apt source that
# offers this release's main component, in both of apt's formats.
mirrors() {
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        awk -v suite="$codename" '$1 == "deb" {
            key = ""
            if ($2 ~ /^\[/) {
                while ($2 !~ /\]$/) { $2 = $2 " " $3; for (i = 3; i < NF; i++) $i = $(i + 1); NF-- }
                if (match($2, /signed-by=[^] ]+/)) key = substr($2, RSTART + 10, RLENGTH - 10)
                for (i = 2; i < NF; i++) $i = $(i + 1)
            }
            if ($3 == suite) print $2, key }'
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -e "$file" ] || continue
        awk -v suite="$codename" '
            function flush() { if (uri != "" && (" " suites " ") ~ (" " suite " ")) print uri, key; uri = suites = key = "" }
            /^[[:space:]]*$/ { flush() }
            /^URIs:/ { uri = $2 } /^Suites:/ { $1 = ""; suites = $0 } /^Signed-By:/ { key = $2 }
            END { flush() }' "$file"
    done
}

apt_private() {
    command=$1
    shift
    "apt-$command" -oAcquire::Check-Valid-Until=false -oAcquire::Languages=none -oAPT::Sandbox::User=root \
        -oDir::Etc::sourcelist="$cache/apt/suites.sources" -oDir::Etc::sourceparts=/dev/null \
        -oDir::State::Lists="$cache/apt/lists" -oDir::Cache="$cache/apt/cache" "$@"
}

apt_private_update() {
    mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
    mirrors | awk '!seen[$1]++' | while read -r uri keyring; do
        printf 'Types: deb deb-src\nURIs: %s\nSuites: bookworm-backports trixie forky sid\nComponents: main\nSigned-By: %s\n\n' \
            "$uri" "${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}"
    done >"$cache/apt/suites.sources"
    [ -s "$cache/apt/suites.sources" ] || { echo 'no Debian mirror found in /etc/apt'; return 1; }
    # One suite may be missing on a mirror; what is missing shows when it is asked for.
    apt_private get update || true
}

# not_below VERSION FLOOR
not_below() { dpkg --compare-versions "$1" ge "$2"; }

# Prints the version to take: the pinned one, or the newest at or above the floor.
choose_version() { # list-of-versions pinned floor
    if echo "$1" | grep -qxF "$2"; then
        echo "$2"
        return
    fi
    newest=
    for version in $1; do
        not_below "$version" "$3" || continue
        if [ -z "$newest" ] || dpkg --compare-versions "$version" gt "$newest"; then newest=$version; fi
    done
    [ -n "$newest" ] || { echo "no version at or above $3 on offer (seen: $1)" >&2; return 1; }
    echo "note: $2 is gone, taking $newest" >&2
    echo "$newest"
}

fetch_tarball() { # source-package pinned floor sha256
    offered=$(apt_private cache showsrc --only-source "$1" | awk '/^Version:/ { print $2 }' | sort -u)
    version=$(choose_version "$offered" "$2" "$3")
    cd "$sources"
    apt_private get source --download-only --tar-only "$1=$version"
    tarball=$(find "$sources" -name "$1_${version%-*}.orig.tar.*" ! -name '*.asc' | head -n 1)
    [ -n "$tarball" ] || { echo "apt brought no tarball of $1 $version"; return 1; }
    if [ "$version" = "$2" ] && [ "$4" != - ]; then
        echo "$4  $tarball" | sha256sum -c -
    fi
    # Last, so that a broken download is asked for again.
    ln -sf "$(basename "$tarball")" "$sources/$1.tar"
}

fetch_nghttp3() { # source-package pinned floor: only its binary packages can be had
    offered=$(apt_private cache madison libnghttp3-dev | awk '{ print $3 }' | sort -u)
    version=$(choose_version "$offered" "$2" "$3")
    cd "$sources"
    library=$(apt_private cache show "libnghttp3-dev=$version" | sed -n 's/.*\(libnghttp3-[0-9][0-9]*\) (= .*/\1/p' | head -n 1)
    apt_private get download "libnghttp3-dev=$version" "${library:-libnghttp3-9}=$version"
    rm -rf nghttp3.deb.d
    mkdir nghttp3.deb.d
    mv libnghttp3-*.deb nghttp3.deb.d/
}

fetch_from_folder() { # source-package
    tarball=$(find "$MASQUE_TARBALLS" -name "$1*.tar*" ! -name '*.asc' | sort | tail -n 1)
    [ -n "$tarball" ] || { echo "no tarball of $1 in $MASQUE_TARBALLS"; return 1; }
    cp "$tarball" "$sources/"
    ln -sf "$(basename "$tarball")" "$sources/$1.tar"
}

fetch() { # name source-package version floor sha256
    if [ -n "${MASQUE_TARBALLS-}" ]; then
        step "take $1 from $MASQUE_TARBALLS" "fetch-$1" fetch_from_folder "$2"
    elif [ -e "$sources/$1-$3" ]; then
        return 0
    elif [ "$1" = nghttp3 ]; then
        step "fetch $1 $3" "fetch-$1" fetch_nghttp3 "$2" "$3" "$4"
    else
        step "fetch $1 $3" "fetch-$1" fetch_tarball "$2" "$3" "$4" "$5"
    fi
    ! grep -h '^note:' "$logs/fetch-$1.log" || true
    # A mark of its own: only a checked download is not asked for again.
    [ -n "${MASQUE_TARBALLS-}" ] || : >"$sources/$1-$3"
}

# --- builds ----------------------------------------------------------------

unpack() { # name: prints the folder
    rm -rf "$cache/build/$1"
    mkdir -p "$cache/build/$1"
    tar -xf "$sources/$1.tar" -C "$cache/build/$1" --strip-components=1
    cd "$cache/build/$1"
}

build_wolfssl() {
    unpack wolfssl
    case $arch in
    # GHASH is the processor's work; tables for those that can't would be half a kilobyte in each key.
    x86_64) assembly='--enable-intelasm --enable-sp-asm --enable-aesgcm=word32' ;;
    aarch64) assembly='--enable-armasm --enable-sp-asm' ;;
    *) assembly= ;;
    esac
    defines='-DHAVE_AES_ECB -DWOLFSSL_PUBLIC_MP -DWOLFSSL_ALT_NAMES -DWOLFSSL_IP_ALT_NAME'
    # Room in session tickets for who a client is by its certificate (lib/crypto/ticket_client.h).
    defines="$defines -DWOLFSSL_TICKET_EXTRA_PADDING_SZ=384"
    ./autogen.sh
    # ECH, Ed25519 and ML-DSA stay off: more attack surface, no user (SECURITY.md).
    # shellcheck disable=SC2086
    ./configure --prefix="$prefix" --libdir="$prefix/lib" --disable-shared --enable-static --with-pic \
        --disable-examples --disable-crypttests --enable-quic --enable-tls13 $assembly --enable-sp=yes \
        --enable-alpn --enable-sni --enable-session-ticket --enable-earlydata --enable-rpk --enable-opensslextra \
        --enable-hkdf --enable-curve25519 --enable-mlkem --enable-pqc-hybrids --enable-certgen --enable-keygen \
        --enable-certext --enable-altcertchains --enable-crl --enable-keying-material --enable-aesctr --enable-compkey \
        CFLAGS='-O2 -g -fPIC' CPPFLAGS="$defines"
    make -j"$jobs"
    make install
}

build_with_cmake() { # name option...
    name=$1
    shift
    unpack "$name"
    cmake -S . -B out -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_INSTALL_PREFIX="$prefix" \
        -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
        -DBUILD_SHARED_LIBS=OFF -DENABLE_LIB_ONLY=ON -DBUILD_TESTING=OFF "$@"
    cmake --build out
    cmake --install out
}

build_nghttp2() {
    build_with_cmake nghttp2 -DBUILD_STATIC_LIBS=ON -DENABLE_SHARED_LIB=OFF -DENABLE_STATIC_LIB=ON
}

build_nghttp3() {
    if [ -e "$sources/nghttp3.tar" ]; then
        build_with_cmake nghttp3 -DENABLE_SHARED_LIB=OFF -DENABLE_STATIC_LIB=ON
        return
    fi
    rm -rf "$cache/build/nghttp3"
    for package in "$sources"/nghttp3.deb.d/*.deb; do dpkg -x "$package" "$cache/build/nghttp3"; done
    mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
    cp -R "$cache/build/nghttp3/usr/include/nghttp3" "$prefix/include/"
    cp "$(find "$cache/build/nghttp3" -name libnghttp3.a)" "$prefix/lib/"
    # Compiled for programs: this one reference can't stand in a shared library (lib/http/h3.c).
    objcopy --redefine-sym stderr=masque_nghttp3_stderr "$prefix/lib/libnghttp3.a"
    sed "s|^prefix=.*|prefix=$prefix|; s|^libdir=.*|libdir=\${prefix}/lib|; s|^includedir=.*|includedir=\${prefix}/include|" \
        "$(find "$cache/build/nghttp3" -name libnghttp3.pc)" >"$prefix/lib/pkgconfig/libnghttp3.pc"
}

build_ngtcp2() {
    # Without its crypto helpers: lib/transport has its own.
    build_with_cmake ngtcp2 -DENABLE_OPENSSL=OFF -DENABLE_GNUTLS=OFF -DENABLE_SHARED_LIB=OFF -DENABLE_STATIC_LIB=ON
}

# --- builds end -------------------------------------------------------------

protocol_libraries() {
    if [ -e "$prefix/complete" ]; then return 0; fi
    mkdir -p "$sources"
    rm -rf "$prefix"
    [ -n "${MASQUE_TARBALLS-}" ] || step 'read the package lists of the newer suites' suites apt_private_update
    grep -v '^#' "$root/cmake/versions" >"$cache/versions"
    while read -r name package version floor sha256; do
        fetch "$name" "$package" "$version" "$floor" "$sha256"
    done <"$cache/versions"
    for name in wolfssl nghttp2 nghttp3 ngtcp2; do
        step "build $name" "build-$name" "build_$name"
    done
    rm -rf "$cache/build"
    : >"$prefix/complete"
}

# --- foreign clients -----------------------------------------------------------

peers=$cache/peers

# The newest suite's curl with the libraries it wants, beside this system's.
peer_curl() {
    [ -s "$cache/apt/suites.sources" ] || apt_private_update
    folder=$peers/curl.d
    rm -rf "$folder" "$cache/apt/peer"
    mkdir -p "$folder" "$cache/apt/peer/partial"
    : >"$cache/apt/nothing-installed"
    apt_private get -oDir::State::status="$cache/apt/nothing-installed" -oDir::Cache::archives="$cache/apt/peer" \
        -oAPT::Install-Recommends=0 -oDebug::NoLocking=1 -t sid -y --download-only install curl
    for package in "$cache/apt/peer"/*.deb; do dpkg -x "$package" "$folder"; done
    loader=$(find "$folder" -name 'ld-linux-*.so.*' | head -n 1)
    libraries=$folder/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)
    printf '#!/bin/sh\nexec %s --library-path %s %s/usr/bin/curl "$@"\n' "$loader" "$libraries" "$folder" >"$peers/curl.new"
    chmod +x "$peers/curl.new"
    "$peers/curl.new" --version
    mv "$peers/curl.new" "$peers/curl"
}

# masque-go can't send a credential: in our copy of it one line is changed so that it does.
peer_go() {
    command -v go >/dev/null || { echo 'there is no Go on this machine'; return 1; }
    folder=$peers/go.d
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$root"/tests/interop/go/* "$folder/"
    cd "$folder"
    module=$(GOFLAGS=-mod=mod go mod download -json github.com/quic-go/masque-go@v0.3.0 | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    cp -r "$module" masque-go
    chmod -R u+w masque-go
    rm -rf masque-go/cmd masque-go/*_test.go masque-go/tools.go
    header='http.Header{http3.CapsuleProtocolHeader: []string{capsuleProtocolHeaderValue}'
    sed -i "s/Header: http.Header{http3.CapsuleProtocolHeader: .*/Header: $header, \"Proxy-Authorization\": {ProxyAuthorization}},/" masque-go/client.go
    printf '\n// ProxyAuthorization is sent with each request.\nvar ProxyAuthorization string\n' >>masque-go/client.go
    go build -o "$peers/interop-go" .
}

peer_python() {
    python3 -m venv "$peers/python.new" && "$peers/python.new/bin/pip" install --disable-pip-version-check 'aioquic>=1.2,<2' || {
        rm -rf "$peers/python.new"
        return 1
    }
    rm -rf "$peers/python"
    mv "$peers/python.new" "$peers/python"
    "$peers/python/bin/python3" -c 'import aioquic'
}

# One of its dependencies isn't offered in the version that it names; package.json takes the one before.
peer_privacypass() {
    command -v npm >/dev/null || as_root apt-get install -y --no-install-recommends nodejs npm
    folder=$peers/privacypass.new
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$root"/tests/interop/privacypass/* "$folder/"
    (cd "$folder" && npm ci --no-audit --no-fund && node -e 'import("@cloudflare/privacypass-ts")')
    rm -rf "$peers/privacypass"
    mv "$folder" "$peers/privacypass"
}

# What can't be had is missing: its tests say so.
peer() { # name file
    if [ -e "$peers/$2" ] && [ "$peers/$2" -nt "$root/tests/interop/go/main.go" ] &&
        [ "$peers/$2" -nt "$root/tests/interop/privacypass/interop.mjs" ]; then return 0; fi
    (step "foreign client: $1" "peer-$1" "peer_$1") || true
    [ ! -e "$peers/$2" ] || touch "$peers/$2"
}

foreign_clients() {
    mkdir -p "$peers" "$logs" "$cache/apt"
    peer curl curl
    peer go interop-go
    peer python python
    peer privacypass privacypass
    echo "$peers"
}

main() {
    case ${1-} in
    peers)
        foreign_clients
        return
        ;;
    prefix)
        echo "$prefix"
        return
        ;;
    build) packages=$build_packages ;;
    test) packages="$build_packages $test_packages" ;;
    *) fail 'usage: dependencies.sh build | test | peers | prefix' ;;
    esac
    mkdir -p "$logs"
    # Two runs at once would build into one folder; the second waits here.
    exec 9>"$cache/lock"
    flock 9
    # shellcheck disable=SC2086
    install_packages $packages
    if [ "$1" = test ] && [ ! -x "$cache/redis/usr/bin/redis-server" ] && ! command -v redis-server >/dev/null; then
        step 'unpack Redis' redis unpack_redis
    fi
    protocol_libraries
}

main "$@"
