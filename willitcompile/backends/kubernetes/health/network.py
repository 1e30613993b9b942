"""Whether a pod of ours reaches the API server: what a NetworkPolicy is to prevent, and not every network does.

The probe runs in a pod that is a compile's in everything but that its program may open a socket, and it is compiled
there: a toolchain's image need hold no other program. A compile itself has no sockets, whatever the network allows.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from willitcompile.backends import Cancelled, CancelToken, launcher
from willitcompile.backends.clients import client_name
from willitcompile.backends.containers import environment
from willitcompile.backends.kubernetes import manifests
from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.jobs import Failed, Jobs
from willitcompile.backends.kubernetes.manifests import ROOT, Work
from willitcompile.backends.kubernetes.tape import ASKING, INHERITED, Answers
from willitcompile.backends.kubernetes.watch import Watch

if TYPE_CHECKING:
    from willitcompile.backends.containers import Outcome
    from willitcompile.backends.kubernetes.api.client import Api
    from willitcompile.backends.kubernetes.settings import Settings

SECONDS = 20.0
"""For all of it: an image that has to be pulled first is not waited for."""
COMPILERS = {"gcc": "gcc", "clang": "clang"}
"""By family, what compiles C."""
_ADDRESS = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
"""The kubelet tells every container where the API server is."""
_SILENCE_SECONDS = 10.0

# One line for each try, the last of which counts: a network may close a moment after a pod has started.
_PROGRAM = rb"""
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int reach(const struct addrinfo *to)
{
    int error = 0, fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof error;
    struct pollfd connected = {fd, POLLOUT, 0};
    if (fd < 0)
        return errno;
    if (connect(fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)
        error = errno;
    else if (poll(&connected, 1, 3000) <= 0)
        error = ETIMEDOUT;
    else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    close(fd);
    return error;
}

int main(void)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    struct addrinfo wish, *to;
    int error;
    memset(&wish, 0, sizeof wish);
    wish.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    wish.ai_socktype = SOCK_STREAM;
    if (!host || getaddrinfo(host, port ? port : "443", &wish, &to))
        return 2;
    error = reach(to);
    if (!error) {
        sleep(1);
        error = reach(to);
    }
    puts(error ? strerror(error) : "reached");
    return 0;
}
"""


class NotTriedError(Exception):
    """The probe gives no answer. Its text says why."""


class Reached(NamedTuple):
    """Of a pod, and the API server."""

    reached: bool
    how: str
    """`Connection timed out`, and what else the pod's kernel says."""


def probe(api: Api, settings: Settings, image: str, compiler: str) -> Reached:
    """Try it in a pod of this image, whose compiler is called so, within `SECONDS`. Nothing of it is left.

    Raises NotTriedError.
    """
    work = Work(
        id=str(uuid4()),
        image=image,
        session=os.urandom(8).hex(),
        settings=settings,
        memory_bytes=settings.memory,
        cpus=settings.cpu,
        seconds=int(3 * SECONDS),
        client=client_name(),
        silence=_SILENCE_SECONDS,
    )
    enough = CancelToken()
    timer = threading.Timer(SECONDS, enough.cancel)
    timer.daemon = True
    timer.start()
    watch = Watch(api, work.session)
    try:
        return judge(*_run(Jobs(api, watch), watch, work, compiler, enough))
    except Failed as failure:
        raise NotTriedError(f"its pod {failure.trouble.text}") from failure
    except (Cancelled, Stopped):
        pod, unheard = watch.pod(work.id), watch.failure
        why = f": its pod {pod.trouble.text}" if pod and pod.trouble else f": {unheard}" if unheard else ""
        raise NotTriedError(f"it did not come to its end within {SECONDS:.0f} seconds{why}") from None
    except ApiError as error:
        raise NotTriedError(f"the cluster refuses it: {error.message}") from error
    except Unreachable as error:
        raise NotTriedError(f"the cluster did not answer: {error}") from error
    finally:
        timer.cancel()
        watch.close()


def _run(jobs: Jobs, watch: Watch, work: Work, compiler: str, enough: CancelToken) -> tuple[Outcome, Outcome]:
    """How the compile ended, and what it had compiled. Raises what `Jobs` does."""
    heard: list[Answers] = []
    watch.begin(work.id)
    try:
        jobs.create(work, manifests.cut(tape(compiler)), enough)
        pod = jobs.started(work, enough)
        jobs.follow(work, pod, lambda: Answers([ASKING.output_bytes]), heard.append, enough)
    finally:
        jobs.delete(work.name)
    compiled = heard[-1].version  # what a compile's pod is asked first
    assert compiled is not None  # noqa: S101 - all is complete
    return compiled, heard[-1].outcome(0)


def tape(compiler: str) -> bytes:
    """What the probe's pod is given to do: to compile the program, and to run it."""
    return launcher.pack(
        [
            *launcher.write("tmp/probe.c", _PROGRAM),
            launcher.run(
                (compiler, "-o", "probe", "probe.c"), environment(ROOT), ASKING, workdir="tmp", inherited=INHERITED
            ),
            launcher.run((f"{ROOT}/tmp/probe",), {}, ASKING, workdir="tmp", inherited=_ADDRESS),
        ]
    )


def judge(compiled: Outcome, ran: Outcome) -> Reached:
    """What they say. Raises NotTriedError."""
    for outcome, what in ((compiled, "it could not be compiled"), (ran, "its program could not run")):
        ending = outcome.ending
        if ending.failure or ending.exit_code != 0:
            said = " ".join(outcome.stderr.decode(errors="backslashreplace").split())[:200]
            why = ending.failure or said or f"exit code {ending.exit_code}"
            raise NotTriedError(f"{what}: {why}")
    said = ran.stdout.decode(errors="backslashreplace").strip()[:100]
    return Reached(said == "reached", said)
