"""A masqueproxyd process. Goal: start it, wait for what it says, end it by its id,
and let no crash, failed assertion or sanitizer report pass unseen.
"""
import functools
import os
import re
import signal
import subprocess
import threading
import time

END_S = 30
REPEAT_S = 3
TROUBLE = re.compile(r"Sanitizer|runtime error:|[Aa]ssertion .*failed|\*\*\* .* \*\*\*")


@functools.cache
def is_thread_sanitized(program):
    with open(program, "rb") as file:
        return b"__tsan_init" in file.read()


class Lines:
    """What a process writes into a pipe, by a thread of its own."""

    def __init__(self, pipe):
        self._pipe = pipe
        self._text = ""
        self._over = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            piece = os.read(self._pipe.fileno(), 65536)
            with self._news:
                self._text += piece.decode(errors="replace")
                self._over = not piece
                self._news.notify_all()
            if not piece:
                return

    def text(self):
        with self._news:
            return self._text

    def find(self, pattern, seconds, after=0):
        """The match of PATTERN behind AFTER characters, or None when the time or the text is over."""
        search = re.compile(pattern, re.M)
        end = time.monotonic() + seconds
        with self._news:
            while True:
                found = search.search(self._text, after)
                left = end - time.monotonic()
                if found or self._over or left <= 0:
                    return found
                self._news.wait(left)

    def close(self):
        self._thread.join(END_S)
        self._pipe.close()


class Proxy:
    def __init__(self, context, command, environment=None, files=()):
        self.context = context
        self.settings, self.config_path = None, None
        self.address, self.port = None, None
        self._expected = None
        self.program, self.last_signal = context.program, None
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, pass_fds=files, cwd=context.folder,
                                        env=context.environment(environment))
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)
        context.defer(self.close)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.err.text()

    def await_ready(self, seconds):
        found = self.out.find(r"^ready: listening on (.*)\n", seconds)
        if not found:
            self._expected = self.wait(END_S) if self.process.poll() is not None else None
            return False
        self.addresses = []
        for text in re.sub(r" \([a-z]+\)", "", found[1]).split():
            host, port = text.rsplit(":", 1)
            self.addresses.append((host.strip("[]"), int(port)))
        self.address, self.port = self.addresses[0]
        return True

    def endpoint(self, number=0):
        return self.addresses[number]

    def await_log(self, pattern, after=0, seconds=END_S):
        found = self.err.find(pattern, seconds, after)
        if not found:
            raise AssertionError(f"no line with {pattern!r} in the log: {self.log()[after:][-2000:]}")
        return found

    def signal(self, number):
        self.last_signal = number
        self.process.send_signal(number)

    def _await_end(self, seconds):
        """gcc 12's thread sanitizer now and then keeps a signal that comes outside of a system call
        to itself, for ever; what asks for the end is therefore repeated, which changes nothing."""
        end = time.monotonic() + seconds
        repeats = self.last_signal in (signal.SIGINT, signal.SIGTERM) and is_thread_sanitized(self.program)
        while repeats and end - time.monotonic() > REPEAT_S:
            try:
                return self.process.wait(REPEAT_S)
            except subprocess.TimeoutExpired:
                self.process.send_signal(self.last_signal)
        return self.process.wait(max(end - time.monotonic(), 0))

    def wait(self, seconds=END_S):
        """Its exit status. The test looks at it, so it is no surprise any more."""
        try:
            self._expected = self._await_end(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the proxy still runs after {seconds} s") from None
        return self._expected

    def reload(self):
        """"reload" or "reload-failed", and the line that says so."""
        after = len(self.log())
        self.signal(signal.SIGHUP)
        pattern = r"^.*\b(reload-failed|reload)\b.*\n"
        if is_thread_sanitized(self.program) and not self.err.find(pattern, REPEAT_S, after):
            self.signal(signal.SIGHUP)  # a lost one, see _await_end(); a second reload changes nothing
        found = self.await_log(pattern, after)
        return found[1], found[0]

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        early = self.process.poll()
        if early is None:
            self.signal(signal.SIGINT)
            try:
                self._await_end(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                early = "not"
        self.out.close()
        self.err.close()
        found = TROUBLE.search(self.log())
        if found:
            raise AssertionError("the proxy complained: " + self.log()[max(0, found.start() - 200):][:3000])
        if early == "not":
            raise AssertionError("the proxy did not end at SIGINT")
        status = self.process.returncode
        if status != self._expected and (early is not None or status != 0):
            raise AssertionError(f"the proxy ended with {status}: {self.log()[-2000:]}")
