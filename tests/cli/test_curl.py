"""The documentation's commands, with curl. Goal: what a reader pastes works as written."""
import os
import re
import subprocess

from harness import basics, targets
from harness.context import KEY, check, same
from harness.runner import namespaced

DOCUMENTED = [
    ("Use curl for testing locally", """
curl -v \\
  --proxy https://your-proxy.example.com \\
  --proxy-header "Proxy-Authorization: Preshared <YOUR_PSK>" \\
  https://example.com
"""),
    ("Verify the connection", """
curl -v \\
  --proxy https://your-proxy.example.com \\
  --proxy-header "Proxy-Authorization: Preshared <YOUR_PSK>" \\
  https://cloudflare.com/cdn-cgi/trace
"""),
    ("Test geolocation", """
curl -v \\
  --proxy https://your-proxy.example.com \\
  --proxy-header "Proxy-Authorization: Preshared <YOUR_PSK>" \\
  --proxy-header "sec-ch-geohash: xn76c-JP" \\
  https://cloudflare.com/cdn-cgi/trace
"""),
]


def write_curlrc(t, *lines):
    """What a machine with these names and this CA would know by itself."""
    rows = [f'cacert = "{t.pki.ca}"', f'proxy-cacert = "{t.pki.ca}"', "max-time = 30", "no-progress-meter", *lines]
    t.write(".curlrc", "\n".join(rows) + "\n")


def shell(t, command):
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, env=t.environment(),
                          cwd=t.folder)


def curl(t, *arguments, program="curl"):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, env=t.environment(),
                          cwd=t.folder)


def check_verbose(name, done, body):
    """DONE is of curl -v: the CONNECT's answer is the first head in it."""
    same(done.returncode, 0, f"{name}: curl's exit status; {done.stderr[-1500:]}")
    check(body in done.stdout, f"{name}: the target's answer is {done.stdout!r}")
    head = re.search(r"^< (HTTP/[\d.]+ 200.*?)^< *\r?$", done.stderr, re.M | re.S)
    check(head, f"{name}: no answer to CONNECT in {done.stderr!r}")
    timing = re.search(r"^< server-timing: (.*?)\r?$", head[1], re.M | re.I)
    check(timing and basics.SERVER_TIMING.match(timing[1]), f"{name}: no Server-Timing in {head[1]!r}")
    for field in ("content-length", "transfer-encoding"):
        check(not re.search(rf"^< {field}:", head[1], re.M | re.I), f"{name}: {field} in {head[1]!r}")


@namespaced
def test_documentation_to_the_letter(t):
    """Only the key differs; names and ports are what they are in the documentation."""
    public = {name: {"A": [["127.0.0.3"]]} for name in ("example.com", "cloudflare.com")}
    servers = basics.name_server(t, **public)
    targets.HttpsOrigin(t, "127.0.0.3", 443)
    t.proxy(listen=[{"address": "127.0.0.2:443"}], dns={"servers": [servers.endpoint]})
    write_curlrc(t, "resolve = your-proxy.example.com:443:127.0.0.2")
    for name, command in DOCUMENTED:
        check_verbose(name, shell(t, command.replace("<YOUR_PSK>", KEY)), "ip=127.0.0.")


def test_documentation_on_loopback(t):
    """The same with ports of ours, where no namespace may be made."""
    public = {name: {"A": [["127.0.0.1"]]} for name in ("example.com", "cloudflare.com")}
    servers = basics.name_server(t, **public)
    origin = targets.HttpsOrigin(t)
    proxy = t.proxy(dns={"servers": [servers.endpoint]})
    write_curlrc(t)
    for name, command in DOCUMENTED:
        command = command.replace("your-proxy.example.com", f"localhost:{proxy.port}").replace("<YOUR_PSK>", KEY)
        command = command.replace("example.com", f"example.com:{origin.port}")
        command = command.replace("cloudflare.com", f"cloudflare.com:{origin.port}")
        check_verbose(name, shell(t, command), "ip=127.0.0.1")


def test_refusals(t):
    servers = basics.name_server(t)
    proxy = t.proxy(dns={"servers": [servers.endpoint]})
    write_curlrc(t)
    for name, authority, key, status, error in basics.refusals(t, targets.Target(t)):
        if status == 400:
            continue  # curl doesn't send those
        key_header = ("--proxy-header", f"Proxy-Authorization: Preshared {key}") if key else ()
        done = curl(t, "-sS", "-o", "body", "-D", "-", "-w", "\ncode=%{http_connect}\n", "--proxy",
                    f"https://localhost:{proxy.port}", *key_header, f"https://{authority}/")
        fields = {n.lower(): v for n, v in re.findall(r"^([\w-]+): (.*?)\r?$", done.stdout, re.M)}
        code = int(re.search(r"code=(\d+)", done.stdout)[1])
        basics.judge(name, code, fields.get, status, error)
        same(done.returncode, 56, f"{name}: curl's exit status; {done.stderr}")


def test_get_is_not_allowed(t):
    proxy = t.proxy()
    write_curlrc(t)
    for version in ("--http1.1", "--http2"):
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            done = curl(t, "-sS", "-i", version, "-X", method, f"https://localhost:{proxy.port}/")
            same(done.returncode, 0, f"{version} {method}: curl's exit status; {done.stderr}")
            check(re.match(r"HTTP/[\d.]+ 405\b", done.stdout), f"{version} {method}: {done.stdout!r}")
            check(re.search(r"^allow: CONNECT\r?$", done.stdout, re.M | re.I), f"{version} {method}: no Allow")
            check(re.search(r"^server-timing: proxy;dur=", done.stdout, re.M | re.I), f"{version}: no Server-Timing")
            check(done.stdout.endswith("\n\n") or done.stdout.endswith("\r\n\r\n"), f"{version}: a body")


def test_keep_alive_after_refusal(t):
    """curl asks again on the connection that was refused, or on a new one: either works."""
    origin = targets.HttpsOrigin(t)
    proxy = t.proxy()
    write_curlrc(t)
    refused = basics.refused_port(t)
    done = curl(t, "-sS", "--proxy", f"https://localhost:{proxy.port}", "--proxy-header",
                f"Proxy-Authorization: Preshared {KEY}", f"https://127.0.0.1:{refused}/",
                f"https://127.0.0.1:{origin.port}/")
    check("ip=127.0.0.1" in done.stdout, f"the second request: {done.stdout!r} {done.stderr!r}")


def curl_with_proxy_http2():
    for program in filter(None, ("curl", os.environ.get("MASQUE_CURL"))):
        flags = subprocess.run([program, "--help", "all"], capture_output=True, text=True, timeout=30).stdout
        if "--proxy-http2" in flags:
            return program
    return None


def test_proxy_http2(t):
    program = curl_with_proxy_http2()
    if not program:
        t.skip("this curl has no --proxy-http2; MASQUE_CURL may name a newer one")
    origin = targets.HttpsOrigin(t)
    proxy = t.proxy()
    write_curlrc(t)
    done = curl(t, "-v", "--proxy-http2", "--proxy", f"https://localhost:{proxy.port}",
                "--proxy-header", f"Proxy-Authorization: Preshared {KEY}", f"https://127.0.0.1:{origin.port}/",
                program=program)
    same(done.returncode, 0, f"curl's exit status; {done.stderr[-1500:]}")
    check("ip=127.0.0.1" in done.stdout, f"the target's answer is {done.stdout!r}")
    check("CONNECT tunnel established, response 200" in done.stderr, f"no 200 in {done.stderr!r}")
    # Versions of curl show the answer in different ways.
    check(re.search("ALPN.* server accepted h2", done.stderr), f"the proxy was not asked by HTTP/2: {done.stderr}")
    timing = re.search(r"^[<*] +server-timing: (.*?)\r?$", done.stderr, re.M | re.I)
    check(timing and basics.SERVER_TIMING.match(timing[1]), f"no Server-Timing in {done.stderr!r}")
