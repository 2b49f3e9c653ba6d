"""As much HPACK (RFC 7541) as a client of CONNECT needs: literals without indexing
out; everything but the dynamic table, which our SETTINGS forbid, in.
"""
# Code lengths of all 257 symbols (RFC 7541, appendix B), 5 as "a", 6 as "b", …; the code is
# canonical, so the lengths are enough.
_LENGTHS = ("isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijb"
            "kabababbbaccbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrs"
            "vvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz")
# Appendix A: all names; values where they are not empty.
_STATIC = (":authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status "
           ":status accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin "
           "age allow authorization cache-control content-disposition content-encoding content-language "
           "content-length content-location content-range content-type cookie date etag expect expires from host "
           "if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location "
           "max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie "
           "strict-transport-security transfer-encoding user-agent vary via www-authenticate").split()
_VALUES = {2: "GET", 3: "POST", 4: "/", 5: "/index.html", 6: "http", 7: "https", 8: "200", 9: "204", 10: "206",
           11: "304", 12: "400", 13: "404", 14: "500", 16: "gzip, deflate"}


def _huffman_codes():
    lengths = [ord(letter) - ord("a") + 5 for letter in _LENGTHS]
    codes, code, last = {}, 0, 5
    for symbol in sorted(range(257), key=lambda s: (lengths[s], s)):
        code <<= lengths[symbol] - last
        last = lengths[symbol]
        codes[last, code] = symbol
        code += 1
    return codes


_CODES = _huffman_codes()


def _huffman(data):
    out, code, length = bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            symbol = _CODES.get((length, code))
            if symbol is not None:
                out.append(symbol)
                code, length = 0, 0
    if length > 7 or code != (1 << length) - 1:
        raise AssertionError("wrong Huffman padding")
    return bytes(out)


def _write_number(value, bits, first):
    if value < (1 << bits) - 1:
        return bytes([first | value])
    out, value = bytearray([first | (1 << bits) - 1]), value - (1 << bits) + 1
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out) + bytes([value])


def _text(text):
    data = text.encode()
    return _write_number(len(data), 7, 0) + data


def encode(fields):
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def number(self, first, bits):
        value, shift = first & (1 << bits) - 1, 0
        if value < (1 << bits) - 1:
            return value
        while True:
            byte = self.byte()
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def text(self):
        first = self.byte()
        length = self.number(first, 7)
        piece = self.data[self.at:self.at + length]
        self.at += length
        return (_huffman(piece) if first & 128 else piece).decode()


def decode(data):
    reader, fields = _Reader(data), []
    while reader.at < len(data):
        first = reader.byte()
        if first & 0x80:
            index = reader.number(first, 7)
            fields.append((_STATIC[index - 1], _VALUES.get(index, "")))
        elif first & 0xe0 == 0x20:
            if reader.number(first, 5) != 0:
                raise AssertionError("a dynamic table that our SETTINGS forbid")
        else:
            index = reader.number(first, 6 if first & 0x40 else 4)
            name = _STATIC[index - 1] if index else reader.text()
            fields.append((name, reader.text()))
    return fields
