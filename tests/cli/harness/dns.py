"""A name server with scripted answers. Goal: each question gets the next answer of
its script, so that a name can change, be silent or be late.
"""
import ipaddress
import socket
import struct
import threading

NXDOMAIN, SERVFAIL, SILENT = "NXDOMAIN", "SERVFAIL", "SILENT"
_TYPES = {1: "A", 28: "AAAA"}
_PATIENCE_S = 30


class Held:
    """An answer that waits for release()."""

    def __init__(self, answer):
        self.answer = answer
        self.is_asked = threading.Event()
        self._go = threading.Event()

    def release(self):
        self._go.set()

    def wait(self):
        self.is_asked.set()
        self._go.wait(_PATIENCE_S)
        return self.answer


class NameServer:
    """SCRIPT: {name: {"A": [answer, …], "AAAA": […]}}; the last answer is for all later questions,
    an answer is a list of addresses, or one of the words above, or a Held one. A name that is not
    there does not exist; a type that is not there has no addresses."""

    def __init__(self, context, script):
        self.script = script
        self.questions = []
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        context.defer(self.close)

    def _run(self):
        while True:
            try:
                query, peer = self._socket.recvfrom(4096)
            except OSError:
                return
            if self._stopping:
                return
            threading.Thread(target=self._answer, args=(query, peer), daemon=True).start()

    def _choose(self, name, kind):
        with self._lock:
            self.questions.append((name, kind))
            if name not in self.script:
                return NXDOMAIN
            answers = self.script[name].get(kind, [[]])
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def _answer(self, query, peer):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        kind = _TYPES.get(struct.unpack(">H", query[at + 1:at + 3])[0], "?")
        answer = self._choose(".".join(labels).lower(), kind)
        if isinstance(answer, Held):
            answer = answer.wait()
        if answer == SILENT:
            return
        code = {NXDOMAIN: 3, SERVFAIL: 2}[answer] if isinstance(answer, str) else 0
        addresses = [] if code else [ipaddress.ip_address(a).packed for a in answer]
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(addresses), 0, 0)
        records = [b"\xc0\x0c" + question[-4:] + struct.pack(">IH", 0, len(a)) + a for a in addresses]
        try:
            self._socket.sendto(head + question + b"".join(records), peer)
        except OSError:
            pass

    def close(self):
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
            knock.sendto(b"", self._socket.getsockname())
        self._thread.join(_PATIENCE_S)
        self._socket.close()
