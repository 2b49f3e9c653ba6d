"""Signed hints of a client's place: from a location service's key to the address that a target sees, and what becomes of
hints that nobody vouches for."""
import base64
import os
import subprocess

from harness import targets
from harness.context import check, same
from harness.h1 import H1, open_tunnel

FEED = "127.1.0.1,JP,,,,xn76c\n127.1.0.2,DE\n127.1.0.9\n"
AUDIENCE = "b.example.net"


def hint(t, *arguments):
    program = os.path.join(os.path.dirname(t.program), "masqueproxy")
    return subprocess.run([program, "hint", *arguments], capture_output=True, text=True, timeout=30, cwd=t.folder,
                          env=t.environment())


def make_key(t, name="location"):
    """The private key's file, and the public one's."""
    done = hint(t, "keygen", "--out", f"{name}.key")
    same((done.returncode, done.stderr), (0, ""), "keygen")
    same(os.stat(t.folder / f"{name}.key").st_mode & 0o777, 0o600, "the key's mode")
    return str(t.folder / f"{name}.key"), t.write(f"{name}.pub", done.stdout)


def sign(t, key, place="xn76c-JP", audience=AUDIENCE, kid="a1", lifetime="5m"):
    done = hint(t, "sign", "--key", key, "--place", place, "--audience", audience, "--kid", kid, "--lifetime", lifetime)
    same((done.returncode, done.stderr), (0, ""), "sign")
    return done.stdout.strip()


def geo(t, public, **more):
    return {"pools": [t.write("egress.csv", FEED)], "audience": AUDIENCE, **more,
            "hint-keys": [{"kid": "a1", "public-key": public}]}


def source_of(t, proxy, target, value):
    open_tunnel(t, proxy, target.authority, fields=[("sec-ch-geohash", value)])
    target.accept().close()
    return target.peer[0]


def test_there_and_back(t):
    """OpenSSL finds the signature good, and we find OpenSSL's keys good."""
    key, public = make_key(t)
    value = sign(t, key)
    item, signature = value.split(";sig=:")
    raw = base64.b64decode(signature.rstrip(":"))
    numbers = b"".join(b"\x02" + bytes([len(n)]) + n for n in
                       ((b"\0" + part if part[0] & 0x80 else part.lstrip(b"\0")) for part in (raw[:32], raw[32:])))
    (t.folder / "sig").write_bytes(b"\x30" + bytes([len(numbers)]) + numbers)
    (t.folder / "signed").write_bytes(b"sec-ch-geohash: " + item.encode())
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", "sig", "signed"], check=True,
                   cwd=t.folder, capture_output=True, timeout=30)
    done = hint(t, "verify", "--key", public, "--audience", AUDIENCE, "--hint", value)
    check(done.returncode == 0 and done.stdout.startswith(f"xn76c-JP, signed by a1 for {AUDIENCE}, ends in "), f"{done}")
    for command in (["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "other.key"],
                    ["pkey", "-in", "other.key", "-pubout", "-out", "other.pub"]):
        subprocess.run(["openssl", *command], check=True, cwd=t.folder, capture_output=True, timeout=30)
    os.chmod(t.folder / "other.key", 0o600)
    same(hint(t, "verify", "--key", "other.pub", "--hint", sign(t, "other.key")).returncode, 0, "OpenSSL's key")


def test_refused(t):
    """What the command refuses, and why."""
    key, public = make_key(t)
    value = sign(t, key)
    rows = [(["keygen", "--out", key], "File exists"), (["keygen"], "mandatory"), ([], "expected keygen"),
            (["sign", "--key", key], "mandatory"), (["sign", "--what"], "unknown flag"),
            (["sign", "--key", public, "--place", "xn7-JP", "--audience", "a", "--kid", "b"], "its mode is"
             if os.stat(public).st_mode & 0o7 else "no private key"),
            (["sign", "--key", key, "--place", "tokyo", "--audience", "a", "--kid", "b"], "no place"),
            (["sign", "--key", key, "--place", "xn7-JP", "--audience", "a b", "--kid", "b"], "visible ASCII"),
            (["verify", "--key", public, "--hint", "xn76c-JP"], "not signed"),
            (["verify", "--key", public, "--hint", "tokyo"], "malformed"),
            (["verify", "--key", public, "--hint", value.replace("xn76c", "xn76d")], "it was changed"),
            (["verify", "--key", public, "--hint", value, "--audience", "c.example"], f"audience “{AUDIENCE}”"),
            (["verify", "--key", key, "--hint", value], "no public key"), (["verify", "--hint"], "needs a value")]
    for arguments, part in rows:
        done = hint(t, *arguments)
        check(done.returncode == 2 and part in done.stderr, f"{arguments}: {done}")
        check("PRIVATE" not in done.stderr + done.stdout, "a key is printed")


def test_proxy(t):
    """Optional, needed, enforced: what is believed, counts as absent, or gets 403."""
    key, public = make_key(t)
    stranger, _ = make_key(t, "stranger")
    target = targets.Listener(t)
    good, bad = sign(t, key), [sign(t, stranger), sign(t, key, audience="c.example"), sign(t, key, kid="a2"),
                               sign(t, key, lifetime="1h"), sign(t, key).replace("xn76c", "xn76d")]
    for need, plain in (("off", "127.1.0.1"), ("absent", "127.1.0.9"), ("refuse", None)):
        proxy = t.proxy(geo=geo(t, public, **{"require-signed": need}))
        same(source_of(t, proxy, target, good), "127.1.0.1", f"{need}: a good one")
        for value in bad + ["xn76c-JP"]:
            wanted = plain if value == "xn76c-JP" else None if need == "refuse" else "127.1.0.9"
            if wanted:
                same(source_of(t, proxy, target, value), wanted, f"{need}: {value}")
                continue
            head = H1(t, proxy).connect(target.authority, fields=[("sec-ch-geohash", value)])
            same((head.status, "good signature" in head.get("proxy-status")), (403, True), f"{need}: {value}")
        check("xn76c" not in proxy.log() and ";sig" not in proxy.log(), "a hint is in the log")


def test_rotation(t):
    """A second key beside the first; then the first is taken away."""
    first, first_public = make_key(t, "first")
    second, second_public = make_key(t, "second")
    target = targets.Listener(t)
    both = geo(t, first_public)
    both["hint-keys"].append({"kid": "a2", "public-key": second_public})
    proxy = t.proxy(geo=both)
    for key, kid in ((first, "a1"), (second, "a2")):
        same(source_of(t, proxy, target, sign(t, key, kid=kid)), "127.1.0.1", kid)
    t.write_settings({**proxy.settings, "geo": {**both, "hint-keys": both["hint-keys"][1:]}})
    same(proxy.reload()[0], "reload", "event")
    same(source_of(t, proxy, target, sign(t, first, kid="a1")), "127.1.0.9", "the key that is gone")
    same(source_of(t, proxy, target, sign(t, second, kid="a2")), "127.1.0.1", "the other one")


def test_bad_configuration(t):
    key, public = make_key(t)
    rows = [({"audience": None}, "give geo.audience"), ({"hint-keys": None, "require-signed": "absent"}, "nobody could sign"),
            ({"require-signed": "yes"}, "none of off, absent and refuse"), ({"hint-lifetime": "25h"}, "expected 1s to 24h"),
            ({"audience": "x" * 256}, "longer than 255"),
            ({"hint-keys": [{"kid": "a1", "public-key": key}]}, "geo.hint-keys[0]”: a second key of this kid, or no public"),
            ({"hint-keys": [{"kid": "a1", "public-key": public}] * 2}, "geo.hint-keys[1]”: a second key"),
            ({"hint-keys": [{"kid": "a1", "public-key": "/nowhere"}]}, "can't read /nowhere")]
    for changes, part in rows:
        settings = {k: v for k, v in {**geo(t, public), **changes}.items() if v is not None}
        done = t.run("--config", t.write_settings(t.settings(geo=settings)), "--test-config")
        check(done.returncode == 1 and part in done.stderr, f"{changes}: no “{part}” in {done.stderr!r}")
