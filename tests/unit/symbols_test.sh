#!/bin/sh
# What the library calls of its surroundings, read from its symbols. Goal: no
# socket, thread, clock, file, environment variable, random source, process or
# output but snprintf() in it, memory from one place, and only masque_* exported.
#
#   symbols_test.sh STATIC-LIBRARY SHARED-LIBRARY
#   symbols_test.sh --self-test      each rule fires on a library made to break it
#
# Environment: CC, NM, LD, AR
set -eu

# All of libc that lib/ may call; compilers make bcmp() and __*_chk() of these.
allowed='bcmp memchr memcmp memcpy memmove memset strchr strcmp strcspn strlen strncmp strnlen strpbrk strrchr strspn
strstr snprintf __assert_fail
sin cos sincos asin sqrt log
__memcpy_chk __memmove_chk __memset_chk __snprintf_chk __stack_chk_fail __cpu_model _GLOBAL_OFFSET_TABLE_'
# From base/memory.c only.
memory='malloc calloc realloc free'
# By prefix: of what we are built on, of sanitizers and of coverage.
prefixes='nghttp2_ nghttp3_ ngtcp2_ wolfSSL wolfTLS wc_ sp_ __asan_ __ubsan_ __tsan_ __sanitizer_ __sancov_ __gcov_ __lsan_ __llvm_'

# Named so that a failure says what is wrong; whatever isn't allowed fails anyway.
sockets='socket connect bind listen accept accept4 send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg shutdown
setsockopt getsockopt getsockname getpeername getaddrinfo gethostbyname inet_pton inet_ntop poll ppoll select pselect
epoll_create1 epoll_ctl epoll_wait eventfd'
threads='pthread_create pthread_mutex_lock pthread_mutex_unlock pthread_once pthread_self pthread_key_create
pthread_cond_wait pthread_rwlock_rdlock thrd_create mtx_lock cnd_wait tss_create sem_wait __tls_get_addr'
clocks='time gettimeofday clock_gettime clock times localtime gmtime mktime nanosleep usleep sleep alarm timer_create
timerfd_create'
files='open open64 openat creat close read write pread pwrite readv writev lseek stat fstat unlink rename mmap munmap
ioctl fcntl fopen fopen64 fdopen fclose fread fwrite fgets opendir tmpfile mkstemp dup dup2 pipe'
environment='getenv secure_getenv setenv putenv environ setlocale getauxval sysconf uname gethostname getpid getuid'
randomness='rand srand rand_r random srandom drand48 getrandom getentropy arc4random arc4random_buf'
processes='fork vfork execve execvp posix_spawn system popen waitpid kill raise signal sigaction abort exit _exit
atexit __cxa_atexit syscall dlopen dlsym'
output='printf fprintf vprintf vfprintf dprintf puts fputs putchar fputc putc perror sprintf vsprintf vsnprintf scanf
sscanf stdout stderr stdin __printf_chk __fprintf_chk __vfprintf_chk __sprintf_chk __vsnprintf_chk syslog strerror'

: "${CC:=cc}" "${NM:=nm}" "${LD:=ld}" "${AR:=ar}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

complain() {
    echo "$1"
    wrong=1
}

# has WORD WORDS...
has() {
    word=$1
    shift
    case " $* " in *" $word "*) return 0 ;; esac
    return 1
}

has_prefix() {
    for prefix in $prefixes; do
        case $1 in "$prefix"*) return 0 ;; esac
    done
    return 1
}

check_undefined() { # static library
    # Linked with nothing but each other: what stays undefined comes from outside.
    "$LD" -r -o "$work/all.o" --whole-archive "$1"
    for symbol in $("$NM" -u "$work/all.o" | awk '{ print $NF }' | sed 's/@.*//' | sort -u); do
        # shellcheck disable=SC2086
        if has "$symbol" $allowed $memory || has_prefix "$symbol"; then
            continue
        fi
        kind='not among what lib/ may call (tests/unit/symbols_test.sh)'
        for list in sockets threads clocks files environment randomness processes output; do
            eval "words=\$$list"
            # shellcheck disable=SC2154,SC2086
            if has "$symbol" $words; then kind=$list; fi
        done
        complain "the library calls $symbol: $kind"
    done
}

check_memory() { # static library
    # shellcheck disable=SC2086
    "$NM" -A -u "$1" 2>/dev/null | awk -v names="$(echo $memory)" '
        BEGIN { count = split(names, list, " "); for (i = 1; i <= count; i++) banned[list[i]] = 1 }
        $NF in banned && $0 !~ /[:\/]memory\.c/ { print "memory not from base/memory.c: " $0 }' >"$work/memory"
    [ ! -s "$work/memory" ] || complain "$(cat "$work/memory")"
}

check_globals() { # static library
    # A sanitizer's own variables can't be told from ours.
    if "$NM" -u "$work/all.o" | grep -q -e ' __[a-z]*san_' -e ' __gcov_'; then return 0; fi
    "$NM" -A --defined-only "$1" 2>/dev/null | awk '$(NF - 1) ~ /^[bBcC]$/ { print "mutable and global: " $0 }' \
        >"$work/globals"
    [ ! -s "$work/globals" ] || complain "$(cat "$work/globals")"
}

check_names() { # static library
    for symbol in $("$NM" -g --defined-only "$1" 2>/dev/null | awk 'NF == 3 && $2 != "A" { print $3 }' | sort -u); do
        case $symbol in
        masque_* | mq_* | MQ_*) ;;
        __*san_* | __odr_asan* | __gcov* | __x86.*) ;;
        *) complain "the library defines $symbol: masque_* is exported, mq_* internal" ;;
        esac
    done
}

check_exported() { # shared library
    exported=$("$NM" -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort -u)
    for symbol in $exported; do
        case $symbol in
        masque_*) ;;
        *) complain "the shared library exports $symbol" ;;
        esac
    done
    has masque_engine_new "$(echo "$exported" | tr '\n' ' ')" || complain 'the shared library exports no masque_engine_new'
}

check_all() { # static library, shared library or nothing
    wrong=0
    check_undefined "$1"
    check_memory "$1"
    check_globals "$1"
    check_names "$1"
    [ -z "${2-}" ] || check_exported "$2"
    return $wrong
}

# A library of one file with TEXT must be refused with a message that holds WORDS; "" is none.
expect() { # words text
    printf '%s\n' "$2" >"$work/sample.c"
    "$CC" -O1 -w -c -o "$work/sample.o" "$work/sample.c"
    rm -f "$work/sample.a"
    "$AR" rc "$work/sample.a" "$work/sample.o"
    got=$(check_all "$work/sample.a" 2>&1) || true
    case $1:$got in
    :) ;;
    :*) failed="$failed
good sample refused: $got" ;;
    *:*"${1:-none}"*) ;;
    *) failed="$failed
bad sample passed ($1): $got" ;;
    esac
}

self_test() {
    failed=
    expect '' 'extern int snprintf(char *, unsigned long, const char *, ...); int mq_f(char *a) { return snprintf(a, 9, "%s", a + 1); }'
    expect '' 'static const int t[] = {1, 2}; int masque_f(int i) { return t[i]; }'
    expect 'socket: sockets' 'int socket(int, int, int); int mq_f(void) { return socket(1, 2, 3); }'
    expect 'pthread_create: threads' 'int pthread_create(void); int mq_f(void) { return pthread_create(); }'
    expect 'clock_gettime: clocks' 'int clock_gettime(int, void *); int mq_f(void *a) { return clock_gettime(1, a); }'
    expect 'open: files' 'int open(const char *, int); int mq_f(void) { return open("a", 0); }'
    expect 'getenv: environment' 'char *getenv(const char *); char *mq_f(void) { return getenv("a"); }'
    expect 'getrandom: randomness' 'long getrandom(void *); long mq_f(void *a) { return getrandom(a); }'
    expect 'fork: processes' 'int fork(void); int mq_f(void) { return fork(); }'
    expect 'puts: output' 'int puts(const char *); int mq_f(void) { return puts("a"); }'
    expect 'strdup: not among' 'char *strdup(const char *); char *mq_f(void) { return strdup("a"); }'
    expect 'memory not from' 'void *malloc(unsigned long); void *mq_f(void) { return malloc(9); }'
    expect 'mutable and global' 'static int count; int mq_f(void) { return count++; }'
    expect 'defines parse' 'int parse(int a) { return a; }'
    if [ -n "$failed" ]; then
        echo "symbols:$failed"
        return 1
    fi
    echo 'symbols: each rule fires'
}

if [ "${1-}" = --self-test ]; then
    self_test
    exit
fi
check_all "$1" "$2"
echo 'symbols: nothing of the system is called, only masque_* is exported'
