"""Every path the runtime owns, computed in one place.

Two roots: ``state`` survives a reboot (default /var/lib/pycompose, environment PYCOMPOSE_STATE_DIR) and ``run`` does
not (default /run/pycompose, environment PYCOMPOSE_RUN_DIR). Both are mode 0700. Pages: docs/formats/.
"""

from __future__ import annotations

import os

from runtime.record import record

DEFAULT_STATE = "/var/lib/pycompose"
DEFAULT_RUN = "/run/pycompose"


@record
class Roots:
    """The two root directories; passed in, never global."""

    state: str
    run: str

    def instance(self) -> str:
        """A name for kernel objects of this instance: ``pycompose``, or with a suffix for other directories (tests)."""
        if self.run == DEFAULT_RUN:
            return "pycompose"
        import zlib

        return f"pycompose-{zlib.crc32(os.fsencode(self.run)):08x}"


def roots_from_env(environ: os._Environ[str] | dict[str, str]) -> Roots:
    """The roots that the environment asks for, or the defaults."""
    return Roots(
        os.path.abspath(environ.get("PYCOMPOSE_STATE_DIR") or DEFAULT_STATE),
        os.path.abspath(environ.get("PYCOMPOSE_RUN_DIR") or DEFAULT_RUN),
    )


class Bundle:
    """The files of one container.

    Under ``state`` (durable): spec.json, labels.json (small: what every ``ps`` reads), annotations.json (opaque),
    last.json (the last exit), upper/ and work/, hosts, hostname, resolv.conf, log.json. Under ``run``: state.json (one
    writer: the shim), control.sock, the FIFOs.
    """

    def __init__(self, roots: Roots, ident: str) -> None:
        self._roots = roots
        self.id = ident
        self.dir = f"{roots.state}/containers/{ident}"
        self.spec = f"{self.dir}/spec.json"
        self.labels = f"{self.dir}/labels.json"
        self.annotations = f"{self.dir}/annotations.json"
        self.last = f"{self.dir}/last.json"
        self.upper = f"{self.dir}/upper"
        self.work = f"{self.dir}/work"
        self.hosts = f"{self.dir}/hosts"
        self.hostname = f"{self.dir}/hostname"
        self.resolv_conf = f"{self.dir}/resolv.conf"
        self.log = f"{self.dir}/log.json"
        self.run = f"{roots.run}/containers/{ident}"
        self.state = f"{self.run}/state.json"
        self.control = f"{self.run}/control.sock"

    def beside(self, ident: str) -> Bundle:
        """Another container's bundle, under the same roots."""
        return Bundle(self._roots, ident)


def remove_run_dir(bundle: Bundle) -> None:
    """Remove what a container had under /run; its shim and who removes the container may do so at the same time."""
    try:
        for name in os.listdir(bundle.run):
            os.unlink(f"{bundle.run}/{name}")
        os.rmdir(bundle.run)
    except OSError:
        pass


def containers_dir(roots: Roots) -> str:
    return f"{roots.state}/containers"


def trash_dir(roots: Roots) -> str:
    return f"{roots.state}/trash"


def project_dir(roots: Roots, project: str) -> str:
    """Durable files of a project: its memo."""
    return f"{roots.state}/projects/{project}"


def providers_file(roots: Roots, project: str) -> str:
    """What the project's provider services said: their configuration and the variables they gave."""
    return f"{project_dir(roots, project)}/providers.json"


def project_run_dir(roots: Roots, project: str) -> str:
    """Volatile files of a project: lock, helper.sock, zone.json."""
    return f"{roots.run}/projects/{project}"
