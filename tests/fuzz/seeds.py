#!/usr/bin/env python3
"""Writes the hand-made part of the seed corpora; the rest was found by fuzzing.

    seeds.py FOLDER     writes FOLDER/TARGET/seed-NN
"""
import base64
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from harness import mmdb  # noqa: E402

GOOD = b"Proxy-Authorization: Fuzz a\r\n"


def connect(target=b"a.test:443", fields=GOOD, version=b"HTTP/1.1"):
    return b"CONNECT %s %s\r\nHost: %s\r\n%s\r\n" % (target, version, target, fields)


def upgrade(rest, fields=GOOD, path=b"/.well-known/masque/udp/a.test/443/"):
    return (b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n"
            b"Capsule-Protocol: ?1\r\n%s\r\n" % (path, fields)) + rest


def capsule(payload, context=b"\0", kind=b"\0"):
    value = context + payload
    return kind + struct.pack(">H", 0x4000 | len(value)) + value


CAPSULES = [
    capsule(b"hello") + capsule(b"") + capsule(b"x" * 1200), capsule(b"a", b"\2") + capsule(b"b"),
    capsule(b"unknown", b"", b"\x17") + capsule(b"known"), b"\0\0" + capsule(b"c"), b"\0\1\x40" + capsule(b"d"),
    b"\0\x80\1\0\x10", b"\0\x05\0ab", b"\xff\xff\xff\xff\xff\xff\xff\xff\0" + capsule(b"e"),
    capsule(b"f" * 3000) * 6,
]

HEADS = [
    connect(), connect() + b"tunnelled bytes", connect(b"8.8.8.8:443") + b"x" * 300, connect(b"[2620:fe::fe]:443"),
    connect(b"127.0.0.1:80"), connect(b"a.test:25"), connect(fields=b""), connect(version=b"HTTP/1.0"),
    connect(fields=b"Proxy-Authorization: Fuzz d\r\n"), connect(fields=b"Proxy-Authorization: Fuzz p\r\n") + b"early",
    connect(fields=b"Proxy-Authorization: Fuzz u\r\n"), connect(fields=b"Authorization: Fuzz a\r\n"),
    connect(fields=GOOD + GOOD), connect(fields=GOOD + b"Content-Length: 3\r\n") + b"abc",
    connect(fields=GOOD + b"Transfer-Encoding: chunked\r\n"), connect(fields=b"X: " + b"y" * 2100 + b"\r\n"),
    connect(fields=b"X: y\r\n" * 20), connect(fields=b"X : y\r\n"), connect(fields=b" folded\r\n"),
    connect(fields=b"X: a\nb\r\n"), connect(fields=b"X: a\0b\r\n"), b"\r\n" + connect(), b"\r\n\r\n" + connect(),
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"CONNECT  a:1 HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    upgrade(b"", b""), upgrade(CAPSULES[0], path=b"/.well-known/masque/udp/2620%3Afe%3A%3Afe/53/"), upgrade(b"", path=b"/udp"),
    *[upgrade(capsules) for capsules in CAPSULES],
]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """RFC 7541 6.2.2 with both as plain text of less than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(stream, *fields, flags=4):
    return frame(1, flags, stream, b"".join(literal(*field) for field in fields))


def request(stream, verdict=b"a", target=b"a.test:443", flags=4):
    return headers(stream, (b":method", b"CONNECT"), (b":authority", target),
                   (b"proxy-authorization", b"Fuzz " + verdict), flags=flags)


def udp_request(stream, path=b"/.well-known/masque/udp/a.test/443/"):
    return headers(stream, (b":method", b"CONNECT"), (b":protocol", b"connect-udp"), (b":scheme", b"https"),
                   (b":path", path), (b":authority", b"a"), (b"proxy-authorization", b"Fuzz a"))


def data(stream, payload, end=False):
    return frame(0, 1 if end else 0, stream, payload)


RST, PING, GOAWAY, WINDOW = 3, 6, 7, 8
CANCEL = b"\0\0\0\x08"
FRAMES = [
    request(1) + data(1, b"hello") + data(1, b"bye", True), request(1, b"p") + data(1, b"early"),
    request(1, b"d") + request(3, b"d") + request(5, b"d") + request(7), request(1, b"u"),
    request(1, target=b"127.0.0.1:80"), request(1, target=b"8.8.8.8:443", flags=5), request(1, target=b"nonsense"),
    b"".join(request(i) for i in range(1, 19, 2)), b"".join(request(i) + frame(RST, 0, i, CANCEL) for i in range(1, 17, 2)),
    request(1) + frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff"), request(1) + frame(WINDOW, 0, 0, b"\0\0\0\0"),
    frame(PING, 0, 0, b"12345678") * 12, frame(4, 0, 0, b"\0\4\0\0\0\0") + request(1) + data(1, b"no window"),
    frame(4, 0, 0, b"\0\5\0\0\x40\0") * 12, frame(GOAWAY, 0, 0, b"\0" * 8), request(1) + frame(GOAWAY, 0, 0, b"\0" * 8),
    request(1, flags=0) + frame(9, 4, 1, literal(b"x", b"y")), request(1, flags=0) + frame(9, 0, 1) * 6,
    headers(1, (b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a")),
    headers(1, (b":method", b"CONNECT"), (b":protocol", b"connect-udp"), (b":scheme", b"https"), (b":path", b"/"),
            (b":authority", b"a")),
    headers(1, *[(b"x", b"y")] * 30), headers(1, (b"x", b"y" * 120), *[(b"x", b"y" * 120)] * 20),
    request(1) + data(3, b"never opened"), request(2), frame(99, 0, 0, b"unknown"), frame(2, 0, 1, b"\0\0\0\0\x10"),
    request(1) + headers(1, (b"trailer", b"x"), flags=5), request(1) + data(1, b"z" * 16384),
    request(1) + frame(0, 8, 1, b"\x05hello" + b"\0" * 5), frame(4, 1, 0) + request(1) + data(1, b"", True),
    udp_request(1, b"/nowhere"), *[udp_request(1) + data(1, capsules, True) for capsules in CAPSULES],
    udp_request(1) + request(3) + b"".join(data(1, piece) + data(3, piece) for piece in CAPSULES[:6]),
]

AUTHORITIES = [
    b"a.test:443", b"A.Test.:443", b"192.0.2.1:1", b"[2001:db8::1]:65535", b"[::ffff:192.0.2.1]:443", b"127.1:80",
    b"0x7f.1:80", b"2130706433:80", b"a:0", b"a:65536", b"a:080", b"a", b":443", b"[::1%lo]:443", b"[]:443", b"a..b:1",
    b"-a.b:1", b"xn--bcher-kva.example:443", b"a_b.example:443", b"1.2.3.4.5:443", b"a.0xg:1", b"[1.2.3.4]:1",
    b"l" * 63 + b".x:1", b"l" * 64 + b".x:1", b"a@b:443", b"a b:443", (b"a." * 126 + b"a") + b":443",
]

RULES = [
    b"192.0.2.0/24", b"2001:db8::/32", b"192.0.2.7", b"192.0.2.0/24:443", b"[2001:db8::]/32:8000-8999", b"port:25",
    b"tcp:port:25", b"udp:192.0.2.0/24:53", b"192.0.2.1/24", b"10.0.0.0/33", b"port:9-1", b"port:70000", b"::/0",
    b"0.0.0.0/0:0-65535", b"[::1]", b"[::ffff:1.2.3.4]/128:1", b"tcp:udp:port:1", b"port:01", b"192.0.2.7:", b"",
]

FIELDS = [
    [(b"Proxy-Authorization", b"Fuzz a"), (b"authorization", b"x")], [(b"AUTHORIZATION", b"x")] * 2,
    [(b"host", b"a"), (b"Host", b"b"), (b"connection", b"close, Upgrade"), (b"upgrade", b"h2c")],
    [(b"content-length", b"1")], [(b"transfer-encoding", b"")], [(b"x", b"y")] * 8, [(b"x", b"y" * 250)] * 3, [(b"", b"")],
]

SUITES = [[0x1301, 0x1303], [0x1303, 0x1301], [0x0A0A, 0x1303], [0xCCA8], [0xFAFA, 0xC02B], []]


def hello(suites, session=b""):
    body = b"\3\3" + b"r" * 32 + bytes([len(session)]) + session
    body += struct.pack(">H", 2 * len(suites)) + b"".join(struct.pack(">H", suite) for suite in suites) + b"\1\0\0\0"
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack(">H", len(message)) + message


# Calls of engine_api.c, by the place in its table.
EVENTS, ACCEPT, OPEN, SEND, RECEIVE, FINISH, CLOSED, PULL = 0, 1, 2, 3, 4, 5, 8, 9
RESOLVED, DIALED, AUTHORIZED, COMMIT, FINISHED, FAILED, TAKE, TICK, DRAIN = 10, 11, 12, 14, 15, 16, 17, 18, 19
H1, H2 = [OPEN, 0, 0], [OPEN, 0, 1, SEND, 0, 3]
ALL = [EVENTS, 255]


def newest(i):
    """The handle that was remembered as number i, unchanged."""
    return [i, 0]


CALLS = [
    H1 + [SEND, 0, 0] + ALL + [DIALED, *newest(1), 0] + ALL + [TAKE, *newest(2), 255, COMMIT, *newest(2), 2, 9, RECEIVE, 0]
    + [FINISHED, *newest(2), FINISH, 0] + ALL,
    H1 + [SEND, 0, 1] + ALL + [RESOLVED, *newest(1), 0x31, RESOLVED, *newest(1), 0x52] + ALL
    + [TICK, 16] + ALL + [DIALED, *newest(2), 1, DIALED, *newest(4), 0] + ALL,
    H1 + [SEND, 0, 2] + ALL + [AUTHORIZED, *newest(1), 1] + ALL + [TICK, 255] + ALL,
    H1 + [SEND, 0, 2] + ALL + [AUTHORIZED, *newest(1), 2] + ALL + [RECEIVE, 0, CLOSED, *newest(0), 0] + ALL,
    H2 + [SEND, 0, 4, SEND, 0, 6, SEND, 0, 5] + ALL + [RESOLVED, *newest(1), 0x31, RESOLVED, *newest(1), 0x52] + ALL
    + [DIALED, *newest(3), 0] + ALL + [TAKE, *newest(1), 100, SEND, 0, 7, SEND, 0, 8] + ALL + [RECEIVE, 0, DRAIN, TICK, 32],
    [ACCEPT, ACCEPT, TICK, 255, TICK, 255] + ALL + [CLOSED, *newest(0), 1, PULL, *newest(1), 0],
]

# Found: a look-up that was answered before the event that asks for it was taken.
FOUND = [bytes.fromhex("1e010001020000030002000136ff0c011e01021e0102000006ff01000155"
                       "5555febabababababababababa5500000355")]


# A datagram, an unknown capsule, an empty datagram, long forms; one that is too long.
CAPSULES = [b"\0\3\0ab\x29\2xy\0\0\x40\0\x40\2\0c", b"\0\x80\1\0\0" + b"x" * 300, b"\0\xc0\0\0\0\0\2\0\0x",
            b"\0\x41\2\0" + b"y" * 257, b"\x40\0\1\0"]


def long_header(first, version, token=b""):
    head = bytes([first]) + struct.pack(">I", version) + b"\x08" + b"D" * 8 + b"\x08" + b"S" * 8
    head += bytes([len(token)]) + token + b"\x44\x80"
    return head + bytes(1200 - len(head))


PACKETS = [long_header(0xC3, 1), long_header(0xD3, 0x6B3343CF), long_header(0xC3, 0x1A2A3A4A), long_header(0xC3, 0),
           long_header(0xC3, 1, b"R" + b"t" * 61), long_header(0xC3, 1, b"N" + b"t" * 40), b"\x41" + b"x" * 60, b"\x50" + b"y" * 20]


def token(kind, length):
    return bytes([0, kind]) + bytes(i * 7 & 255 for i in range(2, length))


def der(tag, content):
    length = len(content)
    return bytes([tag]) + (bytes([length]) if length < 128 else b"\x82" + struct.pack(">H", length)) + content


PSS = bytes.fromhex("303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d010108"
                    "300b0609608648016503040202a203020130")
MODULUS = b"\xc1" + bytes(i * 11 + 3 & 255 for i in range(254)) + b"\x0d"
RSA_KEY = der(0x30, der(2, b"\0" + MODULUS) + der(2, b"\1\0\1"))
TOKENS = [b"token=" + base64.urlsafe_b64encode(token(2, 354)), b'token="' + base64.urlsafe_b64encode(token(1, 146)) + b'"',
          b'x="a\\"b,", TOKEN = ' + base64.b64encode(token(1, 146)).rstrip(b"=") + b" ,",
          b"\0\2\0\x0eissuer.example\0\0\x0eorigin.example", b"\0\1\0\1a\x20" + bytes(32) + b"\0\0",
          der(0x30, PSS + der(3, b"\0" + RSA_KEY))]


def batch(*items):
    body = b"".join(items)
    return struct.pack(">H", 0x4000 | len(body)) + body


POINT = bytes.fromhex("031d689686c611991b55f1a1d8f4305ccd6cb719446f660a30db61b7aa87b46acf59b7c0d4a9077b3da21c25dd482229a0")
REQUESTS = [b"\0\1K" + POINT, b"\0\2K" + bytes(255) + b"\2"]
ISSUANCE = [kind + body for kind in (b"\0", b"\1") for body in
            (*REQUESTS, batch(*REQUESTS), batch(REQUESTS[0]) + b"x", batch(b"\0\3K"), batch())]
ISSUANCE += [b"\2" + POINT + bytes(range(96)), b"\3" + batch(b"\0", b"\1\0\1" + POINT + bytes(range(96)))]

TOKEN_FILES = [
    b'd{"issuer-request-uri":"/token-request","token-keys":[{"token-type":2,"token-key":"MIIB","not-before":5},'
    b'{"token-type":1,"token-key":"Axxx"},{"token-type":55}]}',
    b'd{"issuer-request-uri":"https://a.test/x","token-keys":[]}', b'd{"issuer-request-uri":"ftp://a","token-keys":{}}',
    b"wmasqueproxy: token wallet, version 1\n2 issuer.example * AAI=\n1 a b AAEx\n", b"wmasqueproxy: token wallet, version 2\n",
    b"h# accounts\nalice:$2b$12$abcdefghijklmnopqrstuujZkTwHUiJ9XdZPwKfcfDo7dMp5DjlTu\r\nbob:x\n", b"halice\n:\n",
    b"j" + bytes(range(40)), b"bYWxpY2U6d29uZGVybGFuZA==", b"b",
]


FEED = (b"192.0.2.0/27,JP,JP-13,Tokyo,,xn76c\n2001:db8::/64,DE,,Berlin,\n198.51.100.7,US\n203.0.113.0/29\n"
        b'203.0.113.8/30,GB,,"London, City",,gcpvj # more\n')
CITIES = b"de,,berlin,u33dc\nUS,,New York,40.71,-74.0\n"
GEO = [kind + whom + text for whom in (b"\x04", b"\x4e", b"\x80") for kind, text in
       ((b"f", FEED), (b"c", CITIES + b"\0\n" + FEED), (b"f", FEED + b"192.0.2.0/28,JP\nnothing\n"))]
GEO += [b"p\0" + place for place in (b"xn76c-JP", b"u4pruydqqvj-GB", b"0-AA", b"xn76a-JP", b"xn76c-jp", b"-JP", b'"xn76c-JP"',
                                     b'"xn76c-JP";exp=1767225600;aud="b.example.net";kid="a1";sig=:QGhpa/IHK7eTxmwuF5+qEq'
                                     b'0akWtAMcAK9bPQshfAltKg1HZvzjymK+QVL6t7pDiZZnJLmfi2uNOU7tEJYZphmA==:',
                                     b'"xn76c-JP";x="a;b\\"";y;exp=-5')]
DATABASES = [mmdb.database({"192.0.2.0/24": mmdb.place("JP", 35.68, 139.69), "2001:db8::/32": mmdb.place("DE")}),
             mmdb.database({"127.0.0.0/8": {"registered_country": {"iso_code": "FR"}, "location": {"latitude": 99.0,
                                                                                             "longitude": 2.0}}}),
             mmdb.database({}), b""]


def corpora():
    # Two bytes for exchange_setup_read(): each behaviour alone, and two mixtures.
    setups = [struct.pack("<H", 1 << bit) for bit in range(13)] + [b"\x47\x02", b"\x85\x0c"]
    yield "h1_parser", [bytes([i]) + head for i, head in enumerate(HEADS)]
    yield "request", [b"".join(bytes([len(n), len(v)]) + n + v for n, v in fields) for fields in FIELDS]
    yield "authority", AUTHORITIES
    yield "target_rule", RULES
    yield "client_hello", [hello(s) for s in SUITES] + [hello(s, b"i" * 32) for s in SUITES]
    yield "capsule", [bytes(sizes) + stream for stream in CAPSULES for sizes in ((0, 0, 0), (3, 1, 200))]
    yield "packet", PACKETS
    yield "token", TOKENS
    yield "issuance", ISSUANCE
    yield "token_files", TOKEN_FILES
    yield "geo", GEO
    yield "locations", DATABASES
    yield "engine_http1", [b"\0\0" + head for head in HEADS] + [setup + HEADS[1] for setup in setups]
    yield "engine_http2", [b"\0\0\0" + frames for frames in FRAMES] + [setup + b"\0" + FRAMES[0] for setup in setups]
    yield "engine_api", [bytes([memory, 1] + calls) for calls in CALLS for memory in (0, 30)] + FOUND


def main():
    for name, inputs in corpora():
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(inputs):
            (folder / f"seed-{number:02}").write_bytes(content)


main()
