"""What the benchmark's driver reads from the kernel about a process and its descendants.

A proxy may keep its private key in a child, so a subject is always its whole process tree.
"""

import os
import re
import signal
import subprocess
import time


def process_tree(root):
    """The process ids of root and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                # The program's name may hold blanks and parentheses; the parent follows it.
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(name))
    tree, todo = [], [root]
    while todo:
        pid = todo.pop()
        tree.append(pid)
        todo.extend(children.get(pid, []))
    return tree


def cpu_times(root):
    """CPU nanoseconds of each thread of the tree, as the scheduler counts them."""
    times = {}
    for pid in process_tree(root):
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            fields = contents(f"/proc/{pid}/task/{task}/schedstat").split()
            if fields:
                times[task] = int(fields[0])
    return times


def cpu_seconds_since(root, before):
    """CPU seconds of the tree since cpu_times(); a thread that ended meanwhile is left out, not subtracted."""
    return sum(now - before.get(task, 0) for task, now in cpu_times(root).items()) / 1e9


def resident_kib(root):
    """Resident memory of the tree, without what the kernel keeps for its sockets.

    Pages of files are left out: the kernel drops and rereads them as it likes, also while nothing changes.
    """
    total = 0
    for pid in process_tree(root):
        status = contents(f"/proc/{pid}/status")
        total += sum(int(size) for size in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+) kB", status, re.MULTILINE))
    return total


def wait_for(condition, seconds, step=0.02):
    """True as soon as condition() is, False after that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


def stop(process, seconds=10, first=signal.SIGTERM):
    """Ends a process that this driver started, by its handle."""
    for number in (first, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def contents(path):
    """The text of a file, empty when there is none yet."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class SystemCalls:
    """Counts the system calls of a tree through strace -c, between start and stop."""

    def __init__(self, root, folder):
        self.summary = os.path.join(folder, f"strace-{root}.txt")
        self.log = os.path.join(folder, f"strace-{root}.log")
        tree = process_tree(root)
        command = ["strace", "-c", "-f", "-o", self.summary]
        for pid in tree:
            command += ["-p", str(pid)]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not wait_for(lambda: contents(self.log).count(" attached") >= len(tree), 10):
            stop(self.process)
            raise RuntimeError("strace did not attach: " + contents(self.log)[-200:])

    def stop(self):
        """A dictionary of system call and count."""
        stop(self.process, first=signal.SIGINT)
        counts = {}
        for line in contents(self.summary).splitlines():
            fields = line.split()
            if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[-1] != "total":
                counts[fields[-1]] = int(fields[3])
        return counts


def callgrind_total(path):
    """The instructions that a callgrind output file sums up to."""
    found = re.findall(r"^(?:summary|totals): (\d+)", contents(path), re.MULTILINE)
    if not found:
        raise RuntimeError(f"no total in {os.path.basename(path)}")
    return int(found[-1])
