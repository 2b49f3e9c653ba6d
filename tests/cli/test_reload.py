"""SIGHUP. Goal: what changed is in force at once, what lives goes on, and a bad
file changes nothing.
"""
import os
import signal
import ssl

from harness import targets
from harness.context import KEY, check, same
from harness.h1 import H1, open_tunnel
from harness.h2 import H2

NEW_KEY = "the-key-of-tomorrow-0123456789"


def status_with(t, proxy, authority, key):
    client = H1(t, proxy)
    status = client.connect(authority, key=key).status
    client.close()
    return status


def test_keys(t):
    """Rotation: both keys, then the new one alone; tunnels of the old one go on."""
    target = targets.Target(t)
    proxy = t.proxy()
    tunnel = open_tunnel(t, proxy, target.authority)
    connection = H2(t, proxy)
    stream = connection.open_tunnel(target.authority)
    same(status_with(t, proxy, target.authority, NEW_KEY), 403, "the new key before the reload")
    both = [{"name": "poc", "key-file": t.write("psk.txt", KEY + "\n")},
            {"name": "next", "key-file": t.write("next.txt", NEW_KEY + "\n")}]
    t.write_settings({**proxy.settings, "auth": {"preshared": both}})
    same(proxy.reload()[0], "reload", "event")
    for key in (KEY, NEW_KEY):
        same(status_with(t, proxy, target.authority, key), 200, "either key while both are there")
    t.write_settings({**proxy.settings, "auth": {"preshared": both[1:]}})
    same(proxy.reload()[0], "reload", "event")
    same(status_with(t, proxy, target.authority, KEY), 403, "the removed key")
    same(status_with(t, proxy, target.authority, NEW_KEY), 200, "the new key alone")
    same(connection.connect(target.authority).await_answer(), 403, "the removed key on a connection that was there")
    same(tunnel.exchange(b"live"), b"live", "the HTTP/1.1 tunnel")
    same(stream.exchange(b"live"), b"live", "the HTTP/2 tunnel")


def test_key_file_alone(t):
    """The configuration is the same, the key file's content is another."""
    target = targets.Target(t)
    proxy = t.proxy()
    t.write("psk.txt", NEW_KEY + "\n")
    same(proxy.reload()[0], "reload", "event")
    same(status_with(t, proxy, target.authority, KEY), 403, "the old content")
    same(status_with(t, proxy, target.authority, NEW_KEY), 200, "the new content")


def test_target_rules(t):
    target = targets.Target(t)
    proxy = t.proxy()
    tunnel = open_tunnel(t, proxy, target.authority)
    t.write_settings({**proxy.settings, "targets": {"allow": ["127.0.0.0/8"], "deny": [target.authority]}})
    same(proxy.reload()[0], "reload", "event")
    same(status_with(t, proxy, target.authority, KEY), 403, "a target that is denied now")
    same(tunnel.exchange(b"live"), b"live", "a tunnel from before")


def test_bad_files_change_nothing(t):
    target = targets.Target(t)
    proxy = t.proxy(limits={"auth-failures": 100})
    tunnel = open_tunnel(t, proxy, target.authority)
    settings = proxy.settings
    broken = [
        ("a wrong value", {**settings, "workers": 0}, "“workers”: must be 1 to 256"),
        ("an unknown key", {**settings, "wrokers": 1}, "unknown key “wrokers”"),
        ("no keys", {**settings, "auth": {"preshared": []}}, "nobody could authenticate"),
        ("no certificate", {**settings, "tls": {**settings["tls"], "certificate": "none.crt"}}, "can't read none.crt"),
        ("another key", {**settings, "tls": {**settings["tls"], "private-key": t.pki.second_private_key}},
         "the private key does not belong to the certificate"),
    ]
    for name, content, why in broken:
        t.write_settings(content)
        event, line = proxy.reload()
        same(event, "reload-failed", f"{name}: event")
        check("error reload-failed: the old configuration stays: " in line and why in line, f"{name}: {line!r}")
        same(status_with(t, proxy, target.authority, KEY), 200, f"{name}: the old key")
    t.write("proxy.yaml", "no: [ end\n")
    same(proxy.reload()[0], "reload-failed", "event")
    same(tunnel.exchange(b"live"), b"live", "the tunnel")
    t.write_settings(settings)
    same(proxy.reload()[0], "reload", "a good file after bad ones")


def test_certificate(t):
    target = targets.Target(t)
    proxy = t.proxy()
    connection = H2(t, proxy)
    stream = connection.open_tunnel(target.authority)
    first = connection.stream.certificate()
    tls = {"certificate": t.pki.second_certificate, "private-key": t.pki.second_private_key}
    t.write_settings({**proxy.settings, "tls": tls})
    same(proxy.reload()[0], "reload", "event")
    with open(t.pki.second_certificate, encoding="ascii") as file:
        second = ssl.PEM_cert_to_DER_cert(file.read())
    check(first != second, "the two certificates are one")
    same(H2(t, proxy).stream.certificate(), second, "the certificate of a new connection")
    same(stream.exchange(b"live"), b"live", "a tunnel from before")
    same(connection.open_tunnel(target.authority).exchange(b"new"), b"new", "a new tunnel on the old connection")


def test_key_that_the_user_may_not_read(t):
    """Root's key file was read before `user` became another: a reload can't, says so, and changes nothing."""
    if os.geteuid() != 0:
        t.skip("only root may change the user")
    target = targets.Target(t)
    proxy = t.proxy(user="nobody")
    proxy.await_log("warning unreadable-file: user nobody can't read .*/psk.txt, so SIGHUP would keep the old")
    event, line = proxy.reload()
    check(event == "reload-failed" and "Permission denied" in line, line)
    same(status_with(t, proxy, target.authority, KEY), 200, "the old key")


def test_what_needs_a_restart_is_said(t):
    proxy = t.proxy()
    after = len(proxy.log())
    t.write_settings({**proxy.settings, "workers": 2, "dns": {"servers": ["127.0.0.1"]}, "log": {"level": "info"}})
    same(proxy.reload()[0], "reload", "event")
    proxy.await_log("warning reload: these changes take effect after a restart: workers, dns, log$", after)
    after = len(proxy.log())
    t.write_settings(proxy.settings)
    same(proxy.reload()[1].split()[1], "info", "level of the line when nothing changed")


def test_user_that_does_not_exist(t):
    proxy = t.proxy()
    t.write_settings({**proxy.settings, "user": "no-such-user-of-the-tests"})
    event, line = proxy.reload()
    check(event == "reload-failed" and "there is no user with the name" in line, line)


def test_drain_timeout(t):
    """The one in force when SIGTERM comes counts."""
    target = targets.Target(t)
    proxy = t.proxy()
    tunnel = open_tunnel(t, proxy, target.authority)
    t.write_settings({**proxy.settings, "drain-timeout": "1ms"})
    same(proxy.reload()[0], "reload", "event")
    proxy.signal(signal.SIGTERM)
    proxy.await_log("the drain timeout passed")
    same(proxy.wait(), 0, "exit status")
    tunnel.close()


def test_expired_certificate_is_said(t):
    proxy = t.proxy()
    tls = {**proxy.settings["tls"], "certificate": t.pki.expired_certificate}
    t.write_settings({**proxy.settings, "tls": tls})
    after = len(proxy.log())
    same(proxy.reload()[0], "reload", "event")
    proxy.await_log(r"warning certificate: .*“tls.certificate”: .* ended on 20\d\d-\d\d-\d\d; clients will refuse it", after)


def test_hundred_reloads_under_traffic(t):
    target = targets.Target(t)
    proxy = t.proxy(workers=2)
    tunnels = [open_tunnel(t, proxy, target.authority), H2(t, proxy).open_tunnel(target.authority)]
    for number in range(100):
        same(proxy.reload()[0], "reload", f"reload {number}")
        for tunnel in tunnels:
            same(tunnel.exchange(b"%05d" % number), b"%05d" % number, f"echo after reload {number}")
        open_tunnel(t, proxy, target.authority).close()
