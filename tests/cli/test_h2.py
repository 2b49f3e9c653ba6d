"""HTTP/2 as our own client sees it: answers, and requests that no good client sends."""
from harness import basics, h2, targets
from harness.context import KEY, check, same
from harness.h2 import H2


def test_refusals_and_tunnels(t):
    basics.check_all(t, t.proxy(dns={"servers": [basics.name_server(t).endpoint]}))


def test_answer_is_a_plain_200(t):
    target = targets.Target(t)
    stream = H2(t, t.proxy()).open_tunnel(target.authority)
    same(sorted(name for name, _ in stream.fields), [":status", "alt-svc", "server-timing"], "fields of a 200")
    check(not stream.ended, "END_STREAM with the 200")


def test_settings(t):
    connection = H2(t, t.proxy(limits={"tunnels-per-connection": 7}))
    connection.wait(lambda: connection.settings)
    same(connection.settings.get(h2.MAX_CONCURRENT_STREAMS), 7, "SETTINGS_MAX_CONCURRENT_STREAMS")


def test_malformed_requests(t):
    """None opens a tunnel, none ends another one's."""
    listener = targets.Listener(t)
    authority = listener.authority
    auth = ("proxy-authorization", f"Preshared {KEY}")
    rows = [
        ("with :scheme and :path", [(":method", "CONNECT"), (":scheme", "https"), (":authority", authority),
                                    (":path", "/"), auth]),
        ("without :authority", [(":method", "CONNECT"), auth]),
        ("empty :authority", [(":method", "CONNECT"), (":authority", ""), auth]),
        ("two :authority", [(":method", "CONNECT"), (":authority", authority), (":authority", authority), auth]),
        ("userinfo", [(":method", "CONNECT"), (":authority", "user@" + authority), auth]),
        ("upper case field", [(":method", "CONNECT"), (":authority", authority), auth, ("X-Upper", "1")]),
        ("late pseudo-field", [(":method", "CONNECT"), auth, (":authority", authority)]),
        ("unknown :protocol", [(":method", "CONNECT"), (":protocol", "nothing"), (":scheme", "https"),
                               (":path", "/"), (":authority", authority), auth]),
        ("two credentials", [(":method", "CONNECT"), (":authority", authority), auth, auth]),
        ("content-length", [(":method", "CONNECT"), (":authority", authority), auth, ("content-length", "5")]),
        ("connection field", [(":method", "CONNECT"), (":authority", authority), auth, ("connection", "close")]),
    ]
    proxy = t.proxy(limits={"auth-failures": 100})
    for name, fields in rows:
        connection = H2(t, proxy)
        stream = connection.request(fields)
        status = stream.await_answer()
        check(status in (None, 400, 403, 405, 501), f"{name}: {status}")
        check(status or stream.reset_code is not None or connection.closed, f"{name}: no answer")
        connection.close()
    check(not listener.was_called(), "a malformed request reached the target")


def test_wrong_methods(t):
    connection = H2(t, t.proxy())
    for method in ("GET", "HEAD", "POST", "PUT", "CONNECT-UDP", "connect"):
        stream = connection.request([(":method", method), (":scheme", "https"), (":authority", "localhost"),
                                     (":path", "/")], h2.END_HEADERS | h2.END_STREAM)
        same((stream.await_answer(), stream.get("allow")), (405, "CONNECT"), method)


def test_large_head(t):
    stream = H2(t, t.proxy(limits={"header-bytes": 1024})).connect(
        "127.0.0.1:1", fields=[("x-filler", "f" * 1200)])
    stream.await_answer()
    same((stream.status, basics.error_of(stream.get("proxy-status"))), (431, "http_request_error"), "a head too large")


def test_end_with_the_request(t):
    """END_STREAM on the CONNECT is the client's end, carried behind the 200."""
    listener = targets.Listener(t)
    connection = H2(t, t.proxy())
    stream = connection.request([(":method", "CONNECT"), (":authority", listener.authority),
                                 ("proxy-authorization", f"Preshared {KEY}")], h2.END_HEADERS | h2.END_STREAM)
    target = listener.accept()
    same(stream.await_answer(), 200, "status")
    same(target.recv(10), b"", "the end at the target")
    target.sendall(b"bye")
    target.close()
    same(stream.read_to_end(), b"bye", "bytes of the target")
