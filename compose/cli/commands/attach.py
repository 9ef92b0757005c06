"""``attach``: join the streams of a container's first process."""

from __future__ import annotations

from compose.api.read import check_services, replica
from compose.errors import UsageError
from compose.record import record
from runtime.client import DETACH_KEYS, attach
from runtime.container import read_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from compose.cli.session import Session


@record
class Options:
    service: str
    detach_keys: str = ""
    index: int = 0
    no_stdin: bool = False
    sig_proxy: bool = True


def run(session: Session, options: Options) -> int:
    keys = detach_keys(options.detach_keys)
    project, desired = session.project((options.service,))
    observed = session.observe(project)
    check_services(observed, desired, (options.service,))
    container = replica(observed.containers, options.service, options.index)
    spec = read_spec(session.roots, container.id)
    code = attach(
        session.roots,
        container.id,
        tty=spec.process.terminal,
        stdin=spec.open_stdin and not options.no_stdin,
        detach_keys=keys,
        forward_signals=options.sig_proxy,
    )
    return code or 0


def detach_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q``, or single characters, as bytes; empty text is Docker's default. Raises UsageError."""
    keys = bytearray()
    for word in text.split(",") if text else ():
        letter = word.removeprefix("ctrl-")
        if letter == word and len(word) == 1:
            keys += word.encode()
        elif len(letter) == 1 and letter.isascii() and letter.upper() in "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_":
            keys.append(ord(letter.upper()) & 0x1F)
        else:
            raise UsageError(f"cannot use the detach key {word}", hint="write ctrl-a, or one character")
    return bytes(keys) or DETACH_KEYS
