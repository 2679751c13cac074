"""Nothing of the two floors leaks round the seams, but for the exceptions that have a reason."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("deltastream/accounts/sqlite/_schema.py", "time.sleep"): "waits in its thread for another process",
    ("deltastream/cli/doctor.py", "platform.*"): "tells the operator where it runs",
    ("deltastream/cli/doctor.py", "tempfile.*"): "tries whether a directory can be written",
    ("deltastream/cli/export.py", "os.getpid"): "names a file that is renamed when it is whole",
    ("deltastream/client/_link.py", "ssl.SSLContext"): "names the type alone",
    ("deltastream/client/_wire.py", "ssl.SSLC*"): "the same",
    ("deltastream/client/client.py", "ssl.SSLContext"): "the same",
    ("deltastream/client/client.py", "random.Random*"): "runs in users' programs, in no host: their jitter",
    ("deltastream/feeds/synthetic/_arithmetic.py", "numpy.random.PCG64"): "names the type alone",
    ("deltastream/feeds/synthetic/_product.py", "numpy.random.*"): "raw bits from the market's own seed",
    ("deltastream/feeds/synthetic/_series.py", "numpy.random.PCG64"): "names the type alone",
    ("deltastream/gateway/_connection.py", "socket.socket"): "hands the gateway's socket over as it is",
    ("deltastream/gateway/listening.py", "socket.*"): "the gateway's socket: real by its nature",
    ("deltastream/gateway/listening.py", "ssl.*"): "its certificate",
    ("deltastream/gateway/serving.py", "*socket.*"): "what listens on it",
    ("deltastream/gateway/serving.py", "ssl.SSLContext"): "names the type alone",
    ("deltastream/gateway/serving.py", "trio.SocketListener"): "what listens on the gateway's socket",
    ("deltastream/gateway/sockets.py", "socket.socket"): "names the type alone",
    ("deltastream/host/config.py", "os.environ"): "the one reader of the environment",
    ("deltastream/host/config.py", "os.path.expanduser"): "the same",
    ("deltastream/host/control.py", "*socket*"): "serves the control socket: local, and real by its nature",
    ("deltastream/host/control.py", "trio.SocketListener"): "the same",
    ("deltastream/host/control.py", "trio.serve_listeners"): "the same",
    ("deltastream/host/control_client.py", "trio.open_unix_socket"): "the other end of the control socket",
    ("deltastream/host/data_dir.py", "os.getpid"): "tells who holds the directory",
    ("deltastream/host/data_dir.py", "time.sleep"): "takes the directory's lock before Trio runs",
    ("deltastream/host/logs.py", "queue.*"): "a terminal that stands still must not hold the loop",
    ("deltastream/host/logs.py", "threading.Thread"): "the same",
    ("deltastream/host/operations.py", "os.getpid"): "told to the operator",
    ("deltastream/host/tree.py", "os.getpid"): "told in the log, which is not published",
    ("deltastream/sockets/guest.py", "socket.*"): "bounds what the kernel holds for a client",
    ("deltastream/sockets/server.py", "*socket.*"): "the socket gateway's socket: real by its nature",
    ("deltastream/sockets/server.py", "ssl.SSLContext"): "names the type alone",
    ("deltastream/sim/worker.py", "subprocess.*"): "runs simulations in processes, is in none itself",
    ("deltastream/sim/worker.py", "tempfile.*"): "the same",
    ("deltastream/sim/worker.py", "trio.lowlevel.open_process"): "the same",
    ("deltastream/storage/sqlite/repository.py", "queue.*"): "hands connections from thread to thread",
    ("deltastream/seams.py", "time.time_ns"): "the clock's seam itself",
    ("deltastream/seams.py", "secrets.token_hex"): "the ids' seam itself",
    ("deltastream/seams.py", "secrets.randbits"): "seeds the random seam",
    ("deltastream/seams.py", "secrets.token_bytes"): "the secrets' seam itself",
    ("deltastream/seams.py", "trio.lowlevel.start_thread_soon"): "the threads' seam itself",
    ("deltastream/seams.py", "trio.to_thread.current_default_thread_limiter"): "the same",
}
"""By file and pattern of names: why it may."""


def test_nothing_leaks_round_the_seams(found, markers):
    leaks = [
        f"{path}:{each.lines.start}: {each.rule}: {each.what}"
        for path, all_found in found.items()
        for each in all_found
        if not any(line in markers[path] for line in each.lines)
        and not any(path == where and fnmatch(each.what, what) for where, what in EXCEPTIONS)
    ]
    assert not leaks, "\n".join(leaks)


def test_every_marker_is_in_use_and_has_a_reason(found, markers):
    idle = [
        f"{path}:{line}"
        for path, lines in markers.items()
        for line, reason in lines.items()
        if not reason or not any(line in each.lines for each in found[path])
    ]
    assert idle == []


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=" ".join)
def test_every_exception_is_in_use(exception: tuple[str, str], found):
    path, name = exception
    assert path in found, f"{path} is gone: drop its exceptions"
    assert any(fnmatch(each.what, name) for each in found[path]), f"{path} uses {name} no more: drop it"
