"""Two workers: the same promises, whichever of them a connection meets."""
from harness import basics, targets
from harness.context import KEY, check, same
from harness.h1 import H1, open_tunnel


def test_basics_with_two_workers(t):
    basics.check_all(t, t.proxy(workers=2, dns={"servers": [basics.name_server(t).endpoint]},
                                limits={"auth-failures": 100}))


def test_both_workers_serve(t):
    """Handles begin with each worker's own count, so two connections at once share one exactly when
    they are of different workers."""
    target = targets.Target(t)
    proxy = t.proxy(workers=2)
    tunnels = [open_tunnel(t, proxy, target.authority) for _ in range(40)]
    for tunnel in tunnels:
        same(tunnel.exchange(b"x"), b"x", "echo")
    handles = [line.split("conn=")[1].split()[0] for line in proxy.log().split("\n") if "connection-open" in line]
    check(len(set(handles)) < len(handles), "one worker took all 40 connections")


def test_reload_reaches_both(t):
    proxy = t.proxy(workers=2, limits={"auth-failures": 1000})
    t.write("psk.txt", "another-key-0123456789\n")
    same(proxy.reload()[0], "reload", "event")
    target = targets.Target(t)
    for _ in range(20):
        client = H1(t, proxy)
        same(client.connect(target.authority, key=KEY).status, 403, "the removed key")
        client.close()
        open_tunnel(t, proxy, target.authority, key="another-key-0123456789").close()
