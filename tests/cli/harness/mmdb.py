"""Writes MaxMind databases (MaxMind DB file format 2.0). Goal: what masqueproxyd reads was not made by its own code."""
import ipaddress
import struct

UINT16, UINT32, MAP, UINT64, ARRAY = 5, 6, 7, 9, 11
SIZES = {UINT16: 2, UINT32: 4, UINT64: 8}
_MARK = b"\xab\xcd\xefMaxMind.com"


def _control(kind, size):
    assert size < 285
    head = kind << 5 if kind <= 7 else 0
    rest = bytes([kind - 7]) if kind > 7 else b""
    if size < 29:
        return bytes([head | size]) + rest
    return bytes([head | 29]) + rest + bytes([size - 29])


def _encode(value):
    if isinstance(value, str):
        text = value.encode()
        return _control(2, len(text)) + text
    if isinstance(value, float):
        return _control(3, 8) + struct.pack(">d", value)
    if isinstance(value, tuple):
        kind, number = value
        return _control(kind, SIZES[kind]) + number.to_bytes(SIZES[kind], "big")
    if isinstance(value, list):
        return _control(ARRAY, len(value)) + b"".join(map(_encode, value))
    return _control(MAP, len(value)) + b"".join(_encode(k) + _encode(v) for k, v in value.items())


def place(country, latitude=None, longitude=None):
    """A record as the databases of cities have them."""
    record = {"country": {"iso_code": country}}
    if latitude is not None:
        record["location"] = {"latitude": float(latitude), "longitude": float(longitude)}
    return record


def database(records):
    """RECORDS: networks, as texts, and what is said of each. Larger ones first."""
    nodes, data = [[None, None]], b""
    for network, record in records.items():
        network = ipaddress.ip_network(network)
        bits = int(network.network_address)  # IPv4's are the last of IPv6's
        depth = network.prefixlen + (0 if network.version == 6 else 96)
        at, offset = 0, len(data)
        data += _encode(record)
        for level in range(depth):
            bit = bits >> (127 - level) & 1
            if level == depth - 1:
                nodes[at][bit] = ("data", offset)
            else:
                if not isinstance(nodes[at][bit], int):
                    nodes.append([nodes[at][bit]] * 2)
                    nodes[at][bit] = len(nodes) - 1
                at = nodes[at][bit]
    count = len(nodes)

    def number(record):
        if record is None:
            return count
        return record if isinstance(record, int) else count + 16 + record[1]

    tree = b"".join(number(record).to_bytes(3, "big") for node in nodes for record in node)
    metadata = {"node_count": (UINT32, count), "record_size": (UINT16, 24), "ip_version": (UINT16, 6),
                "database_type": "Test-City", "languages": ["en"], "binary_format_major_version": (UINT16, 2),
                "binary_format_minor_version": (UINT16, 0), "build_epoch": (UINT64, 1700000000),
                "description": {"en": "made by a test"}}
    return tree + bytes(16) + data + _MARK + _encode(metadata)
