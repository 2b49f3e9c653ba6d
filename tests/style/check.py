#!/usr/bin/env python3
"""What of the project's style a program can check; goal: no review is spent on it.

    check.py [ROOT]      checks lib/, cli/, examples/ and tests/ under ROOT (default: this tree)
    check.py --self-test checks that each rule fires on a bad sample and on no good one

Prints `file:line: message` for each violation and exits 1, or one line that all is well.
"""
import pathlib
import re
import sys

FOLDERS = ("lib", "cli", "examples", "tests")
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
COLUMNS_MAX = 120

# Module -> the modules whose headers it may include, beside its own. Arrows point down, from engine to base.
MODULES = {
    "base": (),
    "wire": ("base",),
    "crypto": ("base", "wire"),
    "geo": ("base", "wire", "crypto", "policy"),
    "policy": ("base", "wire"),
    "auth": ("base", "wire", "crypto", "policy"),
    "transport": ("base", "wire", "crypto"),
    "http": ("base", "wire", "transport"),
    "tunnel": ("base", "wire", "policy", "http"),
}
MODULES["engine"] = tuple(MODULES)

# Headers in angle brackets that lib/ may include: C without an operating system, and what it is built on.
SYSTEM_HEADERS = {
    "assert.h", "inttypes.h", "limits.h", "math.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h",
    "stdlib.h", "string.h",
}
LIBRARY_HEADERS = ("masqueproxy/", "nghttp2/", "nghttp3/", "ngtcp2/", "wolfssl/")

BANNED = set("""
    sprintf vsprintf strcpy stpcpy strcat gets atoi atol atoll atof strtok rand srand rand_r alloca tmpnam mktemp
    """.split())
# In lib/ there is no clock, environment, file, socket, thread, process, randomness, output or locale, and one allocator.
BANNED_LIB = set("""
    time gettimeofday clock_gettime clock localtime gmtime mktime strftime nanosleep sleep usleep
    getenv secure_getenv setenv putenv
    printf fprintf vprintf vfprintf dprintf puts fputs putchar putc fputc perror scanf sscanf fscanf
    fopen fdopen freopen fclose fread fwrite fgets open openat creat close read write pread pwrite readv writev ioctl fcntl
    socket connect bind listen accept accept4 send sendto sendmsg recv recvfrom recvmsg shutdown setsockopt getsockopt
    getaddrinfo gethostbyname inet_pton inet_ntop poll ppoll select epoll_create1 epoll_ctl epoll_wait
    random srandom drand48 getrandom getentropy arc4random
    pthread_create pthread_mutex_lock thrd_create mtx_lock
    fork execve execl system popen exit _exit quick_exit abort signal sigaction raise kill
    setlocale strerror strdup strndup asprintf vasprintf
    """.split())
ALLOCATION = {"malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "reallocarray"}
ALLOCATION_HOME = "lib/base/memory.c"

LITERAL = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.M)
CALL = re.compile(r"(?<![\w.])(?<!->)([A-Za-z_]\w*)\s*\(")
FUNCTION_NAME = re.compile(r"(\w+)\s*\([^{}]*\)\s*(?:__attribute__\s*\(\(.*\)\)\s*)?$", re.S)


def blank(match):
    """The same number of columns and lines, without meaning; string quotes stay."""
    text = match.group(0)
    kept = '""' if text[0] == '"' else ""
    return kept + re.sub(r"[^\n]", " ", text[len(kept):])


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def top_level(text):
    """Yields (offset of the first word, the words before the brace or semicolon, the
    offset behind the end) for every declaration and definition outside of braces."""
    depth, start, head_end = 0, 0, None
    for match in re.finditer(r"[{};]", text):
        at, char = match.start(), match.group(0)
        if char == "{":
            if depth == 0 and re.search(r'extern\s*""\s*$', text[start:at]):
                start = at + 1
                continue
            head_end = at if depth == 0 else head_end
            depth += 1
            continue
        if char == "}":
            if depth == 0:  # of extern "C"
                start = at + 1
                continue
            depth -= 1
            if depth > 0 or not text[start:head_end].rstrip().endswith(")"):
                continue
        elif depth > 0:
            continue
        head = text[start:at if head_end is None else head_end]
        first = start + len(head) - len(head.lstrip())
        yield first, head.strip(), at + 1, char == "}"
        start, head_end = at + 1, None


def check_lines(path, text):
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns, at most {COLUMNS_MAX}"
        if "\t" in line:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "spaces at the end of the line"
    if path.endswith(".c") and len(lines) - 1 > FILE_LINES_MAX:
        yield FILE_LINES_MAX + 1, f"{len(lines) - 1} lines, at most {FILE_LINES_MAX}: split by idea"
    if not text.endswith("\n"):
        yield len(lines), "no newline at the end of the file"


def check_header_comment(path, text):
    """A file says what it is; x.c need not where it begins with its x.h, which says it."""
    own = path.split("/")[-1][:-1] + "h"
    first = INCLUDE.match(text)
    if path.endswith(".c") and first and (first.group(1) or "").split("/")[-1] == own:
        return
    comment = re.match(r"/\*(.*?)\*/", text, re.S)
    if not comment or len(re.findall(r"\w+", comment.group(1))) < 4:
        yield 1, "no header comment that says what the file is"


def check_functions(text):
    for first, head, end, has_body in top_level(text):
        lines = line_of(text, end - 1) - line_of(text, first) + 1
        if has_body and lines > FUNCTION_LINES_MAX:
            name = FUNCTION_NAME.search(head)
            yield line_of(text, first), (f"{name.group(1) if name else 'function'}() has {lines} lines, "
                                         f"at most {FUNCTION_LINES_MAX}")


def check_calls(path, text):
    in_lib = path.startswith("lib/")
    for match in CALL.finditer(text):
        name = match.group(1)
        if name in BANNED or (in_lib and name in BANNED_LIB):
            yield line_of(text, match.start()), f"{name}() is not to be called here"
        elif in_lib and name in ALLOCATION and path != ALLOCATION_HOME:
            yield line_of(text, match.start()), f"{name}(): memory comes from base/memory.h"


def check_includes(path, text):
    parts = path.split("/")
    module = parts[1] if len(parts) > 2 else None
    if module not in MODULES:
        yield 1, f"no module of lib/; they are {', '.join(MODULES)}"
        return
    for match in INCLUDE.finditer(text):
        line = line_of(text, match.start(match.lastindex))
        if match.group(2):
            name = match.group(2)
            if name not in SYSTEM_HEADERS and not name.startswith(LIBRARY_HEADERS):
                yield line, f"<{name}> is not for lib/"
            continue
        target = match.group(1).split("/")[0]
        if target not in MODULES or "/" not in match.group(1):
            yield line, f'"{match.group(1)}" does not name a module of lib/'
        elif target != module and target not in MODULES[module]:
            yield line, f"{module}/ may not know {target}/"


def check_names(path, text):
    """Functions and objects with external linkage, and inline functions of headers."""
    for first, head, _, has_body in top_level(text):
        line = line_of(text, first)
        static = re.match(r"static\b", head) is not None
        function = FUNCTION_NAME.search(head)
        if has_body and function:
            name = function.group(1)
            if (not static or path.endswith(".h")) and not re.match(r"mq_|masque_", name):
                yield line, f"{name}() has external linkage: mq_ inside, masque_ exported"
        elif "=" in head and not re.match(r"(typedef|struct|enum|union|extern)\b[^=]*$", head):
            declarator = head.split("=")[0]
            names = re.findall(r"\w+", re.sub(r"\[.*", "", declarator))
            if not static and names and not re.match(r"mq_|MQ_|masque_|MASQUE_", names[-1]):
                yield line, f"{names[-1]} has external linkage: mq_ inside, masque_ exported"
            if "const" not in names:
                yield line, f"{names[-1]} is mutable and global"
        elif static and not function and "const" not in head:
            name = re.findall(r"[a-zA-Z_]\w*", head)[-1]
            yield line, f"{name} is mutable and global"


def check_exports(path, text, public):
    """What is called masque_ is declared in include/, what is declared there is called masque_."""
    for first, head, _, has_body in top_level(text):
        function = FUNCTION_NAME.search(head)
        if not function:
            continue
        name = function.group(1)
        if path.startswith("include/"):
            if "MASQUE_EXTERN" in head and not name.startswith("masque_"):
                yield line_of(text, first), f"{name}() is exported and not called masque_"
        elif has_body and name.startswith("masque_") and name not in public:
            yield line_of(text, first), f"{name}() is in no public header: mq_ inside"


def check_text(path, text, public=frozenset()):
    """All violations of one file as (line, message)."""
    code = LITERAL.sub(blank, text)
    plain = DIRECTIVE.sub(blank, code)
    found = []
    if not path.startswith("include/"):
        found += check_lines(path, text)
        found += check_header_comment(path, text)
        found += check_functions(plain)
        found += check_calls(path, code)
    if path.startswith("lib/"):
        found += check_includes(path, text)
        found += check_names(path, plain)
    if path.startswith(("lib/", "include/")):
        found += check_exports(path, plain, public)
    return sorted(found)


def exported_names(root):
    names = set()
    for file in sorted(root.glob("include/masqueproxy/*.h")):
        code = LITERAL.sub(blank, file.read_text(encoding="utf-8"))
        names |= set(re.findall(r"MASQUE_EXTERN\b[^;(]*?(\w+)\s*\(", code))
    return names


def check_tree(root):
    public = exported_names(root)
    files = sorted(root.glob("include/masqueproxy/*.h"))
    for folder in FOLDERS:
        files += sorted(file for file in root.glob(f"{folder}/**/*") if file.suffix in (".c", ".h") and file.is_file())
    violations = 0
    for file in files:
        path = file.relative_to(root).as_posix()
        for line, message in check_text(path, file.read_text(encoding="utf-8"), public):
            print(f"{path}:{line}: {message}")
            violations += 1
    if violations or not files:
        print(f"style: {violations} violations in {len(files)} files", file=sys.stderr)
        return 1
    print(f"style: {len(files)} files are as they should be")
    return 0


HEAD = "/* A sample that says what it is. */\n"
INNER = "lib/wire/sample.c"

# Path, text behind the header comment, what the message must say.
BAD = (
    ("tests/unit/a.c", "static void f(void) {\n" + "    x();\n" * 69 + "}\n", "f() has 71 lines"),
    ("lib/wire/a.c", "int mq_f(int a,\n         int b) {\n" + "    x();\n" * 68 + "}\n", "mq_f() has 71 lines"),
    ("tests/a.c", 'extern "C" {\nvoid f(void) {\n' + "    x();\n" * 69 + "}\n}\n", "f() has 71 lines"),
    ("cli/a.c", "\n" * 600, "601 lines"),
    ("cli/a.c", "int a; /* " + "x" * 110 + " */\n", "123 columns"),
    ("cli/a.h", "int a;\t\n", "a tab"),
    ("cli/a.h", "int a; \n", "spaces at the end"),
    ("cli/a.h", "int a;", "no newline"),
    ("cli/a.c", "void f(void) {\n    strcpy(a, b);\n}\n", "strcpy() is not"),
    ("tests/a.c", "#define F(x) sprintf (x)\n", "sprintf() is not"),
    ("examples/a.c", "int a = atoi (b);\n", "atoi() is not"),
    (INNER, "static long f(void) {\n    return time(NULL);\n}\n", "time() is not"),
    (INNER, "static int f(void) {\n    return !open(x);\n}\n", "open() is not"),
    (INNER, "static void f(void) {\n    a(malloc(4));\n}\n", "malloc(): memory comes from"),
    ("lib/base/block.c", "static void f(void) {\n    free(a);\n}\n", "free(): memory comes from"),
    (INNER, '#include "policy/targets.h"\n', "wire/ may not know policy/"),
    ("lib/base/a.h", '#include "wire/authority.h"\n', "base/ may not know wire/"),
    ("lib/http/a.h", '#include "engine/engine.h"\n', "http/ may not know engine/"),
    ("lib/http/a.h", '#include "policy/targets.h"\n', "http/ may not know policy/"),
    (INNER, '#include "authority.h"\n', "does not name a module"),
    (INNER, "#include <sys/socket.h>\n", "<sys/socket.h> is not for lib/"),
    ("lib/strange/a.h", "int a(void);\n", "no module of lib/"),
    ("lib/a.h", "int a(void);\n", "no module of lib/"),
    (INNER, "int parse(void) {\n    return 0;\n}\n", "parse() has external linkage"),
    ("lib/wire/a.h", "static inline int parse(void) {\n    return 0;\n}\n", "parse() has external linkage"),
    (INNER, "const int table[] = {1};\n", "table has external linkage"),
    (INNER, "static int counter = 0;\n", "counter is mutable"),
    (INNER, "static unsigned counters[4];\n", "counters is mutable"),
    (INNER, "int masque_hidden(void) {\n    return 0;\n}\n", "masque_hidden() is in no public header"),
    ("include/masqueproxy/a.h", "MASQUE_EXTERN int parse(int a);\n", "parse() is exported"),
)

# Path, text: nothing may fire.
GOOD = (
    ("tests/unit/a.c", HEAD + "static void f(void) {\n" + "    x();\n" * 68 + "}\n"),
    ("cli/a.c", HEAD + "\n" * 599),
    ("cli/a.c", HEAD + "/* " + "ö" * 114 + " */\n"),
    ("cli/a.c", HEAD + 'const char *a = "strcpy(a) {"; /* sprintf(x) { */\n'),
    ("lib/wire/authority.c", '#include "wire/authority.h"\n'),
    ("tests/bench/loop.c", '#include "loop.h"\n'),
    ("cli/loop.c", '#include "loop.h"\n'),
    (INNER, HEAD + "static int f(op *o) {\n    return o->open(o) + o->ops.read(o) + mq_open(o);\n}\n"),
    (INNER, HEAD + "typedef struct op {\n    void (*free)(void *memory);\n} op;\nstruct op;\n"),
    (INNER, HEAD + "static const int TABLE[] = {1, 2};\nconst int MQ_TABLE[2] = {\n    1,\n};\n"),
    (INNER, HEAD + '#include <string.h>\n\n#include "base/memory.h"\n#include "wire/address.h"\n'),
    (INNER, HEAD + "int masque_seen(void) {\n    return 0;\n}\n"),
    ("lib/base/memory.c", '#include "base/memory.h"\n\nvoid mq_f(void *a) {\n    free(a);\n}\n'),
    ("lib/engine/a.c", HEAD + '#include "base/memory.h"\n#include "tunnel/dial.h"\n'),
    ("include/masqueproxy/a.h", 'extern "C" {\nMASQUE_EXTERN int masque_f(int a);\n}\n'),
)


def self_test():
    failures = []
    for path, text, expected in BAD:
        messages = [message for _, message in check_text(path, HEAD + text)]
        if len(messages) != 1 or expected not in messages[0]:
            # A tab at the end of a line is a space there as well.
            if not (expected == "a tab" and expected in messages):
                failures.append(f"{path} {text[:40]!r}: expected “{expected}”, got {messages}")
    for text in ("int a;\n", "/* Two words. */\n", '#include "other.h"\n'):
        if "no header comment" not in str(check_text("cli/a.c", text)):
            failures.append(f"{text!r} passed without a header comment")
    for path, text in GOOD:
        messages = check_text(path, text, {"masque_seen"})
        if messages:
            failures.append(f"{path} {text[:60]!r}: expected nothing, got {messages}")
    for failure in failures:
        print(failure)
    if not failures:
        print(f"style: {len(BAD) + 3} bad and {len(GOOD)} good samples are told apart")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[2]
    return check_tree(root)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
