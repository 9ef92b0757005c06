"""RUN: the command, its mounts, the key of it, and running it on the layers so far."""

from __future__ import annotations

import fcntl
import os
import posixpath

from runtime.build import settings
from runtime.build.cache import key_of
from runtime.build.context import digest_of
from runtime.build.copying import Copier
from runtime.build.errors import BuildFault
from runtime.build.mounts import BuildMount, parse_mount
from runtime.build.mounts import place as mount_place
from runtime.build.running import Step, Tree, environment, stubs
from runtime.build.select import Pick, entries_of
from runtime.build.snapshot import settle
from runtime.build.state import PROXIES
from runtime.images.merged import Merged
from runtime.spec import File, Mount
from runtime.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.build.instructions import Instruction
    from runtime.build.stage import StageBuilder

_NETWORKS = ("", "default", "none", "host")
_IN_SCRATCH = ("dev", "proc", "sys")  # what a step leaves in a layer without them


def run_command(stage: StageBuilder, step: Instruction) -> None:
    """Carry out a RUN. Raises BuildFault, with the command's exit code."""
    command = _Command(stage, step)
    key = key_of(command.definition())
    stage.builder.step(
        stage, key, stage.title(step.original.split("\n")[0]), command.run, command=True, anew=command.anew
    )
    stage.state.note(f"RUN {stage.state.arg_prefix()}{' '.join(command.args)} # buildkit", empty=False)


class _Command:
    def __init__(self, stage: StageBuilder, step: Instruction) -> None:
        self.stage = stage
        self.builder = stage.builder
        self.state = stage.state
        self.step = step
        self.cwd = self.state.config.get("WorkingDir") or "/"
        self.script = b""
        self.args = self._arguments()
        values = {**self.state.scope}
        self.wanted = [parse_mount(text, values) for text in step.every("mount")]
        self.network = step.flag("network") or self.builder.request.network or "default"
        self.insecure = step.flag("security") == "insecure"
        self._check()

    def _check(self) -> None:
        request = self.builder.request
        if self.step.flag("network") not in _NETWORKS or self.network not in _NETWORKS:
            raise BuildFault(f"cannot use --network={self.network}: it is default, none or host")
        if self.step.flag("security") not in ("", "sandbox", "insecure"):
            raise BuildFault(f"cannot use --security={self.step.flag('security')}: it is sandbox or insecure")
        if self.insecure and not request.privileged and "security.insecure" not in request.entitlements:
            raise BuildFault("cannot use --security=insecure: it is not allowed", "allow it: --allow security.insecure")
        may_use_host = request.network == "host" or request.privileged or "network.host" in request.entitlements
        if self.network == "host" and not may_use_host:
            raise BuildFault("cannot use --network=host: it is not allowed", "allow it: --allow network.host")
        for text in self.step.every("device"):
            if "required=false" not in text.split(","):
                raise BuildFault(f"cannot use --device={text}: no such device is set up", "add ,required=false")

    def _arguments(self) -> list[str]:
        """The argument vector; a here-document alone is a script, or with ``#!`` a program."""
        step = self.step
        if step.is_json or not step.heredocs:
            words = settings.command(self.state.config, step.words, step.is_json)
            return words or [*settings.shell_of(self.state.config), ""]
        first = step.heredocs[0]
        if len(step.heredocs) == 1 and step.text.strip().startswith("<<") and len(step.text.split()) == 1:
            if first.body.startswith("#!"):
                self.script = first.body.encode("utf-8", "surrogateescape")
                return [*settings.shell_of(self.state.config), f"/dev/pipes/{first.name}"]
            return [*settings.shell_of(self.state.config), first.body]
        bodies = "".join(f"\n{self._raw(heredoc)}{heredoc.name}" for heredoc in step.heredocs)
        return [*settings.shell_of(self.state.config), step.text + bodies]

    @staticmethod
    def _raw(heredoc: Any) -> str:
        """The body as the shell is to read it: it takes the tabs of ``<<-`` away itself."""
        if not heredoc.chomp:
            return str(heredoc.body)
        return "".join(f"\t{line}" for line in heredoc.body.splitlines(keepends=True))

    def environment(self) -> dict[str, str]:
        values = {"PATH": settings.DEFAULT_PATH, **self.state.environment()}
        for number, mount in enumerate(mount for mount in self.wanted if mount.type == "ssh"):
            values["SSH_AUTH_SOCK"] = mount.target or f"/run/buildkit/ssh_agent.{number}"
            break
        return values

    # -- the key

    def definition(self) -> list[Any]:
        """What the result depends on; neither secrets, nor ids of caches, nor proxies, nor addresses of hosts."""
        values = {name: value for name, value in self.environment().items() if name not in PROXIES}
        return [
            "RUN",
            self.state.key,
            self.args,
            self.script.decode("latin-1"),
            values,
            self.cwd,
            self.state.config.get("User") or "",
            self.network,
            self.insecure,
            [self._mount_key(mount) for mount in self.wanted],
            sorted(name for name, _address in self.builder.request.extra_hosts),
            self.builder.machine.hostname,
            self.stage.planned.platform,
        ]

    @property
    def anew(self) -> bool:
        """Whether it must run because a stage that it mounts did."""
        sources = [mount.from_ for mount in self.wanted if mount.type == "bind"]
        return any(self.builder.sources.is_renewed(self.stage, name) for name in sources)

    def _mount_key(self, mount: BuildMount) -> list[Any]:
        rest = [mount.target, mount.source, mount.readonly, mount.env, mount.mode, mount.uid, mount.gid, mount.size]
        if mount.type != "bind":
            return [mount.type, *rest, mount.from_ if mount.type == "cache" else ""]
        tree, what, foreign, origin = self.builder.sources.tree_of(self.stage, mount.from_)
        if origin:
            return ["bind", *rest, origin]
        found = tree.resolve(mount.source or "/")
        if found is None:
            raise BuildFault(f"cannot mount {mount.source!r}: it is not in {what}")
        return ["bind", *rest, digest_of(entries_of(tree, Pick("", found)), self.builder.digests, not foreign)]

    # -- running

    def run(self, place: str) -> int:
        """Run it in ``place`` (with diff/ and work/); the bytes of the layer."""
        mounting = _Mounting(self, place)
        try:
            spec = self._step(place, mounting)
            lower = Merged(self.state.layers)
            made = stubs([mount.destination for mount in mounting.mounts], lambda path: lower.resolve(path) is not None)
            made += stubs([file.destination for file in mounting.files], lambda path: lower.resolve(path) is not None)
            self._carry_out(spec)
        finally:
            mounting.close()
        for name in _IN_SCRATCH:
            if lower.lookup((name.encode(),)) is None and not os.path.lexists(f"{place}/diff/{name}"):
                os.mkdir(f"{place}/diff/{name}", 0o755)
                os.chmod(f"{place}/diff/{name}", 0o755)
        return settle(f"{place}/diff", self.state.layers, sorted(dict.fromkeys(made), key=lambda path: path.count("/")))

    def _step(self, place: str, mounting: _Mounting) -> Step:
        for number, mount in enumerate(self.wanted):
            mounting.add(number, mount)
        if self.script:
            name = self.step.heredocs[0].name
            mounting.script(name, self.script)
        proxies = {name: value for name, value in self.builder.request.args.items() if name in PROXIES}
        for name in list(proxies):
            proxies[name.upper()] = proxies[name.lower()] = proxies.get(name.lower(), proxies[name])
        values = {**self.environment(), **proxies, **mounting.variables}
        return Step(
            place,
            self.state.layers,
            tuple(self.args),
            environment(values),
            self.cwd,
            self.state.config.get("User") or "",
            self.network,
            tuple(mounting.mounts),
            tuple(mounting.files),
            tuple(mounting.trees),
            self.state.binds,
            self.insecure,
        )

    def _carry_out(self, spec: Step) -> None:
        output = self.builder.output()
        netns = self.builder.network() if self.network == "default" else -1
        try:
            code, oom = self.builder.runner.run(spec, netns, output.write)
        finally:
            output.flush()
            if netns >= 0:
                os.close(netns)
        if code:
            why = "it was killed: out of memory" if oom else f"it ended with code {code}"
            raise BuildFault(f"cannot complete {' '.join(self.args)!r}: {why}", "\n".join(output.tail), code=code)


class _Mounting:
    """The mounts of one RUN: what is bound where, and the directories and locks that takes; closed afterwards."""

    def __init__(self, command: _Command, place: str) -> None:
        self.command = command
        self.builder = command.builder
        self.place = place
        self.mounts: list[Mount] = []
        self.files: list[File] = []
        self.trees: list[Tree] = []
        self.variables: dict[str, str] = {}
        self._locks: list[int] = []

    def close(self) -> None:
        for fd in self._locks:
            os.close(fd)

    def add(self, number: int, mount: BuildMount) -> None:
        """One mount. Raises BuildFault."""
        target = mount_place(mount.target, self.command.cwd) if mount.target else ""
        match mount.type:
            case "bind":
                self._bind(number, mount, target)
            case "cache":
                self._cache(number, mount, target)
            case "tmpfs":
                options = ("exec", *((f"size={mount.size}",) if mount.size else ()))
                self.mounts.append(Mount(target, "tmpfs", options=options))
            case "secret":
                self._secret(mount, target)
            case _:
                self._ssh(number, mount, target)

    def script(self, name: str, content: bytes) -> None:
        """A program of a here-document, at /dev/pipes."""
        path = f"{self.place}/script"
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o755)
        self.mounts.append(Mount(f"/dev/pipes/{name}", "bind", path, ("ro",)))

    def _bind(self, number: int, mount: BuildMount, target: str) -> None:
        top = self._tree(number, mount.from_, mount.source, writable=not mount.readonly)
        source = f"{top}{posixpath.normpath('/' + mount.source)}".rstrip("/")
        self.mounts.append(Mount(target, "bind", source, ("ro",) if mount.readonly else (), within=top))

    def _tree(self, number: int, from_: str, source: str, writable: bool) -> str:
        """A directory where the tree of a stage, image or context can be seen during the step."""
        layers = self.builder.sources.layers_of(self.command.stage, from_, source)
        top, empty = f"{self.place}/tree{number}", f"{self.place}/empty{number}"
        os.mkdir(top, 0o755)
        os.mkdir(empty, 0o755)
        upper = work = ""
        if writable:
            upper, work = f"{self.place}/upper{number}", f"{self.place}/work{number}"
            os.mkdir(upper, 0o755)
            os.mkdir(work, 0o700)
        self.trees.append(Tree(top, (*layers, empty), upper, work))
        return top

    def _cache(self, number: int, mount: BuildMount, target: str) -> None:
        directory = self._cache_directory(mount, target)
        if not os.path.exists(directory):
            self._make_cache(directory, mount)
        self.mounts.append(Mount(target, "bind", directory, ("ro",) if mount.readonly else ()))

    def _cache_directory(self, mount: BuildMount, target: str) -> str:
        """By its id; a private one that is busy has numbered siblings."""
        base = f"{self.builder.roots.state}/build/mounts"
        os.makedirs(base, 0o700, exist_ok=True)
        space = self.builder.request.args.get("BUILDKIT_CACHE_MOUNT_NS", "")
        name = key_of([space, mount.id or target, mount.from_])[:32]
        self.builder.renew_cache_mount(f"{base}/{name}")
        if mount.sharing == "shared":
            return f"{base}/{name}"
        for turn in range(1000):
            path = f"{base}/{name}" + (f".{turn}" if turn else "")
            fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (fcntl.LOCK_NB if mount.sharing == "private" else 0))
            except BlockingIOError:
                os.close(fd)
                continue
            self._locks.append(fd)
            return path
        raise BuildFault(f"cannot mount cache {mount.id or target!r}: a thousand builds use it")

    def _make_cache(self, directory: str, mount: BuildMount) -> None:
        """A new cache, with the content of ``from`` if it has one; another build may be faster."""
        temporary = f"{directory}.{os.getpid()}.{os.urandom(4).hex()}"
        os.mkdir(temporary, 0o755)
        if mount.from_:
            tree = self.builder.sources.tree_of(self.command.stage, mount.from_)[0]
            found = tree.resolve(mount.source or "/")
            if found is None or not found.dirs:
                raise BuildFault(f"cannot mount {mount.source!r}: there is no such directory in {mount.from_}")
            copier = Copier(temporary, (), None, None, foreign=False)
            try:
                copier.copy(tree, Pick("", found), "/")
            finally:
                copier.close()
        os.chown(temporary, max(mount.uid, 0), max(mount.gid, 0))
        os.chmod(temporary, mount.mode if mount.mode >= 0 else 0o755)
        try:
            os.rename(temporary, directory)
        except OSError:
            remove_tree(temporary)

    def _secret(self, mount: BuildMount, target: str) -> None:
        ident = mount.id or posixpath.basename(target)
        secret = self.builder.request.secrets.get(ident)
        if secret is None and mount.required:
            raise BuildFault(f"cannot find secret {ident!r}", f"give it: --secret id={ident},src=FILE")
        if mount.env:
            self.variables[mount.env] = secret.content.decode("utf-8", "surrogateescape") if secret else ""
        if secret is None or (mount.env and not mount.target):
            return
        uid, gid = (mount.uid if mount.uid >= 0 else secret.uid), (mount.gid if mount.gid >= 0 else secret.gid)
        mode = mount.mode if mount.mode >= 0 else secret.mode
        where = target or secret.target or f"/run/secrets/{ident}"
        self.files.append(File(where, secret.content, uid, gid, mode))

    def _ssh(self, number: int, mount: BuildMount, target: str) -> None:
        ident = mount.id or "default"
        agent = self.builder.request.ssh.get(ident)
        if agent is None:
            if mount.required:
                raise BuildFault(f"cannot find ssh agent {ident!r}", f"give it: --ssh {ident}")
            return
        number = sum(other.destination.startswith("/run/buildkit/ssh_agent.") for other in self.mounts)
        self.mounts.append(Mount(target or f"/run/buildkit/ssh_agent.{number}", "bind", agent))
