"""Pid 1 for ``init: true`` where the host has no static init program: this very process stays, forks the program,
passes signals on and reaps whatever is orphaned. It only runs from a sealed interpreter (``runtime/sealing.py``), for
its /proc/1/exe is within the container's reach. Nothing is imported here: the root is the container's already.
"""

from __future__ import annotations

import _signal
import os
import sys

from runtime.linux import task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_EVERY = frozenset(range(1, _signal.NSIG)) - {32, 33}  # the C library keeps two for itself
_NOT_PASSED = frozenset((_signal.SIGCHLD, _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGPIPE))


def is_sealed() -> bool:
    """Whether this process was started from the read-only view of its executable."""
    return os.stat("/proc/self/exe").st_dev != os.stat(sys.executable).st_dev


def fork_program(channel: int, terminal: bool) -> None:
    """Returns in the child, which executes the program; the parent never returns. ``channel``: the shim's, whose end
    must be the child's alone."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _EVERY)
    task.prctl(task.PR_SET_PDEATHSIG, 0)
    pid = os.fork()
    if pid:
        os.close(channel)
        _reap(pid)
    os.setpgid(0, 0)
    if terminal:
        os.tcsetpgrp(0, os.getpgrp())  # Ctrl-C is for the program; it does not stop us, SIGTTOU is blocked


def _reap(program: int) -> NoReturn:
    """Until the program ends; then with its code, or 128 plus its signal."""
    while True:
        number = _signal.sigwait(_EVERY)
        if number not in _NOT_PASSED:
            try:
                os.kill(program, number)
            except ProcessLookupError:
                pass
        while number == _signal.SIGCHLD:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == program:
                os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
            if pid == 0:
                break
