"""Canaries. Goal: at the chattiest level, through every success and failure, no log
line holds a target, a credential or payload, nor a client's address beside a tunnel.
"""
import re
import socket

from harness import hpack, targets
from harness.context import KEY, check, same
from harness.dns import SERVFAIL, NameServer
from harness.h1 import H1, open_tunnel
from harness.h2 import H2
from harness.runner import limit

CLIENT = "127.0.7.7"
TARGET = "127.0.8.8"
HOST = "canary-host-ohthi7ai"
PAYLOAD = "canary-payload-eeW4thoh"
PSK = "canary-psk-Aicho5ei"
WRONG_KEY = "canary-wrong-key-ieZ8ooph"
FIELD = "canary-field-vaeD9noh"


def succeed(t, proxy, authorities):
    for authority in authorities:
        tunnel = open_tunnel(t, proxy, authority, key=PSK, source=CLIENT, fields=[("x-canary", FIELD)])
        same(tunnel.exchange(PAYLOAD.encode()), PAYLOAD.encode(), "HTTP/1.1: echo")
        tunnel.end()
        tunnel.read_to_end()
        stream = H2(t, proxy, source=CLIENT).open_tunnel(authority, key=PSK, fields=[("x-canary", FIELD)])
        same(stream.exchange(PAYLOAD.encode()), PAYLOAD.encode(), "HTTP/2: echo")
        stream.reset()
        stream.connection.close()


def be_refused(t, proxy, authorities):
    for authority in authorities:
        for key in (PSK, WRONG_KEY):
            client = H1(t, proxy, source=CLIENT)
            check(client.connect(authority, key=key).status != 200, f"{authority}: not refused")
            client.close()
            client = H2(t, proxy, source=CLIENT)
            client.connect(authority, key=key).await_answer()
            client.close()


def send_h1(t, proxy, text):
    client = H1(t, proxy, source=CLIENT)
    try:
        client.ask(text.encode())
    except (AssertionError, OSError):
        pass
    client.close()


def break_rules(t, proxy):
    """Requests that no parser takes, each with canaries in it."""
    auth = f"Proxy-Authorization: Preshared {PSK}\r\n"
    for text in (f"GET https://{HOST}.test/{PAYLOAD} HTTP/1.1\r\nHost: {HOST}\r\n{auth}\r\n",
                 f"CONNECT {HOST}.test:443 HTTP/9.9\r\n{auth}\r\n",
                 f"CONNECT {HOST}.test:443 HTTP/1.1\r\n{auth}{auth}\r\n",
                 f"CONNECT {HOST}.test:443 HTTP/1.1\r\n{auth}bad line {PAYLOAD}\r\n\r\n",
                 f"CONNECT {HOST}.test:443 HTTP/1.1\r\n{auth}x: {FIELD * 2000}\r\n\r\n",
                 f"{PAYLOAD}\r\n\r\n"):
        send_h1(t, proxy, text)
    for fields in ([(":method", "CONNECT"), (":authority", HOST + ".test:443"), ("Upper-" + FIELD, PSK)],
                   [(":method", "CONNECT"), (":authority", HOST + ".test:443"), (":path", "/" + FIELD)],
                   [(":method", HOST), (":authority", HOST), (":scheme", "https"), (":path", "/" + FIELD)]):
        client = H2(t, proxy, source=CLIENT)
        client.request(fields).await_answer()
        client.close()
    client = H2(t, proxy, source=CLIENT)
    client.send_frame(1, 4, 1, hpack.encode([(":method", "CONNECT")]) + b"\xff" + PAYLOAD.encode())
    client.wait_closed()


def break_tls(t, proxy):
    with socket.create_connection(proxy.endpoint(), 30, (CLIENT, 0)) as raw:
        raw.sendall(f"CONNECT {HOST}.test:443 HTTP/1.1\r\nProxy-Authorization: Preshared {PSK}\r\n\r\n".encode())
        while raw.recv(1000):
            pass
    client = H1(t, proxy, source=CLIENT)
    client.stream.socket.sendall(b"\x17\x03\x03\x00\x20" + PAYLOAD.encode())
    client.stream.socket.close()


def end_badly(t, proxy, listener):
    """Resets from both sides, with bytes on the way."""
    for client_first in (True, False):
        tunnel = open_tunnel(t, proxy, listener.authority, key=PSK, source=CLIENT)
        target = listener.accept()
        tunnel.send(PAYLOAD.encode())
        target.sendall(PAYLOAD.encode())
        if client_first:
            tunnel.reset()
        else:
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            target.close()
            tunnel.close()


def live_through_everything(t, form):
    """A log at level debug, and the client's and the target's words for it."""
    t.write("canary.txt", PSK + "\n")
    target = targets.Target(t, address=TARGET)
    listener = targets.Listener(t, TARGET)
    server = NameServer(t, {HOST + ".test": {"A": [[TARGET]]}, HOST + "-private.test": {"A": [["10.99.88.77"]]},
                            HOST + "-broken.test": {"A": [SERVFAIL], "AAAA": [SERVFAIL]}})
    proxy = t.proxy(log={"level": "debug", "format": form}, dns={"servers": [server.endpoint]},
                    auth={"preshared": [{"name": "poc", "key-file": "canary.txt"}]},
                    limits={"auth-failures": 100, "header-bytes": 4096})
    succeed(t, proxy, [target.authority, f"{HOST}.test:{target.port}"])
    be_refused(t, proxy, [f"{HOST}-gone.test:443", f"{HOST}-private.test:443", f"{HOST}-broken.test:443",
                          "10.99.88.77:443", f"{TARGET}:1", f"{HOST}.test:1", f"{HOST}.test", f"{HOST}@{HOST}:443"])
    break_rules(t, proxy)
    break_tls(t, proxy)
    end_badly(t, proxy, listener)
    t.write("canary.txt", WRONG_KEY + "\n" + PSK)
    proxy.reload()
    t.write("canary.txt", PSK[:4] + " " + PSK)
    proxy.reload()
    proxy.signal(15)
    same(proxy.wait(40), 0, "exit status")
    proxy.err.find("never", 30)
    return proxy.out.text() + proxy.log()


def check_log(log):
    lines = log.splitlines()
    check(len(lines) > 60, f"only {len(lines)} lines")
    for canary in (HOST, PAYLOAD, PSK, WRONG_KEY, FIELD, KEY, TARGET, "10.99.88.77", "Preshared "):
        found = [line for line in lines if canary.lower() in line.lower()]
        same(found[:3], [], f"lines with {canary}")
    about_client = [line for line in lines if CLIENT in line]
    check(about_client, "the client's address is nowhere: the test proves nothing")
    same([line for line in about_client if re.search(r"\btunnel\b", line)], [], "lines with a client and a tunnel")
    same([line for line in lines if re.search(re.escape(CLIENT) + r"\W\d", line)], [], "lines with the client's port")


@limit(240)
def test_text_log(t):
    check_log(live_through_everything(t, "text"))


@limit(240)
def test_json_log(t):
    check_log(live_through_everything(t, "json"))


def test_answers_tell_nothing(t):
    """No refusal names an address, the client or the target."""
    server = NameServer(t, {HOST + ".test": {"A": [["10.99.88.77"]]}})
    proxy = t.proxy(dns={"servers": [server.endpoint]})
    for authority in (f"{HOST}.test:443", "10.99.88.77:443", f"{TARGET}:1", f"{HOST}-gone.test:443"):
        head = H1(t, proxy, source=CLIENT).connect(authority)
        for canary in (HOST, "10.99.88.77", TARGET, CLIENT, "127.0.0.1"):
            check(canary not in head.text, f"{authority}: {canary} in {head.text!r}")


def test_denials_look_alike(t):
    """A denied name and a denied literal, a wrong key for a good and for a bad target: the same bytes but timing."""
    server = NameServer(t, {HOST + ".test": {"A": [["10.99.88.77"]]}})
    proxy = t.proxy(dns={"servers": [server.endpoint]}, limits={"auth-failures": 100})

    def answer(authority, key):
        head = H1(t, proxy).connect(authority, key=key)
        return re.sub(r"server-timing: .*", "", head.text)

    same(answer("10.99.88.77:443", KEY), answer("[fd00::1]:443", KEY), "two denied literals")
    same(answer("10.99.88.77:443", KEY), answer(f"{HOST}.test:443", KEY), "a denied literal and name")
    same(answer("10.99.88.77:443", WRONG_KEY), answer("127.0.0.1:1", WRONG_KEY), "a wrong key, whatever the target")
