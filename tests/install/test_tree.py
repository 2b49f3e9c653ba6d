"""The installed tree. Goal: a host finds, compiles, links and runs against it in
every way that is offered, and nothing but masque_* leaves the library.
"""
import atexit
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness.context import check, same
from harness.runner import limit

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LANGUAGES = {"C": ["cc", "-std=c17", "-x", "c"], "C++": ["c++", "-std=c++17", "-x", "c++"]}
_tree = []


def run(*command, environment=None, cwd=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, cwd=cwd,
                          env={**os.environ, **(environment or {})})
    check(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout[-800:]}{done.stderr[-1500:]}")
    return done.stdout


def build_folder():
    return pathlib.Path(os.environ.get("MASQUE_BUILD", ROOT / "build/release"))


def tree(t):
    """The prefix, installed once a run."""
    cache = build_folder() / "CMakeCache.txt"
    if not cache.exists():
        t.skip(f"nothing is built in {build_folder()}")
    if re.search(r"^MASQUE_SANITIZE:\w+=.+$", cache.read_text(), re.M):
        t.skip("a build with sanitizers is not for installing")
    if not _tree:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="masque-install-"))
        atexit.register(shutil.rmtree, folder, True)
        run("cmake", "--install", build_folder(), "--prefix", folder / "prefix")
        _tree.append(folder / "prefix")
    return _tree[0]


def lib(prefix):
    """Where the libraries are: lib, lib64 or lib/TRIPLE."""
    return next(prefix.glob("**/libmasqueproxy.a")).parent


def version():
    return re.search(r"project\(masqueproxy VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]


def check_host(program, prefix, is_shared):
    """It runs, says what it is linked with, and is linked as it was asked to be."""
    words = run(program, environment={"LD_LIBRARY_PATH": str(lib(prefix))}).split()
    same((words[0], words[-1]), (version(), "MASQUE_ERR_NO_CREDENTIALS"), f"{program.name}: what it prints")
    dynamic = subprocess.run(["readelf", "-d", str(program)], capture_output=True, text=True, timeout=60).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    same("libmasqueproxy.so.0" in needed, is_shared, f"{program.name}: linked with the shared library")
    same([name for name in needed if "wolfssl" in name or "nghttp2" in name], [], f"{program.name}: other libraries")


# --- files ---------------------------------------------------------------------------------

def test_files(t):
    prefix = tree(t)
    names = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if not path.is_dir()}
    folder = lib(prefix).relative_to(prefix)
    wanted = {f"include/masqueproxy/{path.name}" for path in (ROOT / "include/masqueproxy").glob("*.h")}
    wanted |= {f"{folder}/libmasqueproxy.a", f"{folder}/libmasqueproxy.so", f"{folder}/libmasqueproxy.so.0",
               f"{folder}/pkgconfig/masqueproxy.pc", f"{folder}/cmake/masqueproxy/masqueproxy-config.cmake",
               "sbin/masqueproxyd", "share/man/man8/masqueproxyd.8", "share/doc/masqueproxy/LICENSE"}
    same(sorted(wanted - names), [], "files that are missing")
    same([name for name in names if name.endswith((".c", ".py", ".o"))], [], "files that don't belong there")


def test_manual_page(t):
    text = (tree(t) / "share/man/man8/masqueproxyd.8").read_text()
    check(text.startswith(".TH MASQUEPROXYD 8") and len(text) > 3000, "the manual page is empty or another")
    check(f"masqueproxy {version()}" in text.split("\n")[0], "the manual page is of another version")


def test_installed_program(t):
    program = tree(t) / "sbin/masqueproxyd"
    check(run(program, "--version").startswith(f"masqueproxyd {version()}\n"), "--version")
    dynamic = run("readelf", "-d", program)
    check("RPATH" not in dynamic and "RUNPATH" not in dynamic, "the program has a run path of the build machine")


def test_no_paths_of_the_build(t):
    prefix = tree(t)
    for path in [*lib(prefix).glob("cmake/**/*.cmake"), *lib(prefix).glob("pkgconfig/*.pc")]:
        for place in (str(ROOT), str(build_folder())):
            check(place not in path.read_text(), f"{path.name} names {place}")


# --- headers --------------------------------------------------------------------------------

def test_each_header_alone(t):
    prefix = tree(t)
    compilers = dict(LANGUAGES)
    if shutil.which("clang"):
        compilers["C by clang"] = ["clang", *LANGUAGES["C"][1:]]
        compilers["C++ by clang"] = ["clang++", *LANGUAGES["C++"][1:]]
    for header in sorted((prefix / "include/masqueproxy").glob("*.h")):
        source = t.write("alone.c", f"#include <masqueproxy/{header.name}>\n" * 2 + "extern int not_empty;\n")
        for command in compilers.values():
            run(*command, *STRICT, "-fsyntax-only", f"-I{prefix}/include", source)


# --- symbols --------------------------------------------------------------------------------

def defined(*arguments):
    return {line.split()[-1].split("@")[0] for line in run("nm", *arguments).splitlines() if len(line.split()) == 3}


def declared():
    """Functions that the headers export."""
    text = "".join(path.read_text() for path in (ROOT / "include/masqueproxy").glob("*.h"))
    return set(re.findall(r"^MASQUE_EXTERN [\w\s*]*?\b(masque_\w+)\(", text, re.M))


def test_shared_library_exports(t):
    library = lib(tree(t)) / "libmasqueproxy.so"
    exported = defined("-D", "--defined-only", library)
    same(sorted(name for name in exported if not name.startswith(("masque_", "MASQUEPROXY_"))), [], "foreign exports")
    check(len(declared()) > 30, "the headers' functions were not found")
    same(sorted(declared() - exported), [], "declared, but not exported")
    same(sorted(name for name in exported - declared() if name.startswith("masque_")), [], "exported, but not declared")
    dynamic = run("readelf", "-d", library)
    same(re.findall(r"\(SONAME\).*\[(.*)\]", dynamic), ["libmasqueproxy.so.0"], "soname")
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    same([name for name in needed if not name.startswith(("libc.", "libm.", "ld-linux"))], [], "what it needs")


def test_static_library_names(t):
    names = defined("--defined-only", "--extern-only", lib(tree(t)) / "libmasqueproxy.a")
    # Constant tables between files of the library may have names in capitals with the same prefix.
    same(sorted(n for n in names if not n.lower().startswith(("masque_", "mq_"))), [], "names that may collide")
    same(sorted(declared() - names), [], "declared, but not there")


# --- hosts ----------------------------------------------------------------------------------

def pkg_config(prefix, *arguments):
    path = {"PKG_CONFIG_PATH": str(lib(prefix) / "pkgconfig"), "PKG_CONFIG_LIBDIR": ""}
    return run("pkg-config", *arguments, "masqueproxy", environment=path).split()


def check_pkg_config(t, prefix):
    same(pkg_config(prefix, "--modversion"), [version()], "version")
    for name, command in LANGUAGES.items():
        for linking, flags in (("shared", []), ("static", ["--static"])):
            program = t.folder / f"host-{name}-{linking}"
            run(*command, *STRICT, *pkg_config(prefix, "--cflags"), HERE / "host.c", "-x", "none", "-o", program,
                *(["-static"] if flags else []), *pkg_config(prefix, "--libs", *flags))
            check_host(program, prefix, linking == "shared")


PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(host LANGUAGES C CXX)
set(CMAKE_C_STANDARD 17)
set(CMAKE_CXX_STANDARD 17)
find_package(masqueproxy {version} REQUIRED)
foreach(kind masqueproxy shared static)
  add_executable(c-${{kind}} host.c)
  add_executable(cxx-${{kind}} host.cpp)
  foreach(language c cxx)
    target_compile_options(${{language}}-${{kind}} PRIVATE {flags})
    target_link_libraries(${{language}}-${{kind}} PRIVATE masqueproxy::${{kind}})
  endforeach()
endforeach()
"""


def check_find_package(t, prefix):
    t.write("CMakeLists.txt", PROJECT.format(version=version(), flags=" ".join(STRICT)))
    for name in ("host.c", "host.cpp"):
        shutil.copy(HERE / "host.c", t.folder / name)
    build = t.folder / "build"
    run("cmake", "-S", t.folder, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", build)
    for language in ("c", "cxx"):
        for kind in ("masqueproxy", "shared", "static"):
            check_host(build / f"{language}-{kind}", prefix, kind != "static")


@limit(400)
def test_pkg_config(t):
    check_pkg_config(t, tree(t))


@limit(400)
def test_find_package(t):
    check_find_package(t, tree(t))


@limit(400)
def test_moved_tree(t):
    """A package manager builds in one place and unpacks in another."""
    moved = t.folder / "elsewhere"
    shutil.copytree(tree(t), moved, symlinks=True)
    check_find_package(t, moved)
    check_pkg_config(t, moved)


def test_wrong_version_is_not_found(t):
    prefix = tree(t)
    t.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.25)\nproject(host LANGUAGES C)\n"
            "find_package(masqueproxy 99.0 REQUIRED)\n")
    done = subprocess.run(["cmake", "-S", str(t.folder), "-B", str(t.folder / "build"),
                           f"-DCMAKE_PREFIX_PATH={prefix}"], capture_output=True, text=True, timeout=120)
    check(done.returncode != 0 and "99.0" in done.stderr, "a version that isn't there was found")
