"""Fixtures of the end-to-end tests: a machine per session, projects per test, a count of what is left per module."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.runtime.images.registry.fake import Registry, registry
from tests.support import rootfs
from tests.support.cli import IMAGE, Machine, Project, Terminal, eventually

MakeProject = Callable[..., Project]
numbers = itertools.count(1)
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces, mounts, cgroups")


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The busybox image's tar."""
    if not rootfs.busybox_is_static():
        pytest.skip("needs a static busybox: apt-get install busybox-static")
    return rootfs.write_busybox(str(tmp_path_factory.mktemp("image") / "busybox.tar"))


def new_machine(archive: str) -> Machine:
    machine = Machine()
    imported = machine.call("import", archive, IMAGE)
    assert imported.code == 0, imported
    return machine


@pytest.fixture(scope="session")
def machine(archive: str) -> Iterator[Machine]:
    """State and run directories with the image in them. At the end nothing of it is left on the machine."""
    machine = new_machine(archive)
    yield machine
    left = [*machine.kill_ours()]
    machine.remove()
    assert not left, f"processes that outlived the tests: {left}"


@pytest.fixture
def other_machine(archive: str) -> Iterator[Machine]:
    """A machine for one test alone, to kill and to reboot."""
    machine = new_machine(archive)
    before = machine.snapshot()
    yield machine
    leaks: list[str] = []
    try:
        eventually(lambda: not leaks_of(machine, before, leaks), 5, "clean machine")
    except AssertionError:
        pytest.fail("left behind:\n" + "\n".join(leaks))
    finally:
        machine.kill_ours()
        machine.remove()


def leaks_of(machine: Machine, before: dict[str, set[str]], into: list[str]) -> list[str]:
    into[:] = machine.leaks(before)
    return into


@pytest.fixture(scope="module", autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Count before and after each module; the helper of a project ends a moment after its last container."""
    machine: Machine = request.getfixturevalue("machine")
    before = machine.snapshot()
    yield
    leaks: list[str] = []
    try:
        eventually(lambda: not leaks_of(machine, before, leaks), 5, "clean machine")
    except AssertionError:
        pytest.fail("left behind:\n" + "\n".join(leaks))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    report = yield
    if report.when in ("setup", "call") and report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def server() -> Iterator[Registry]:
    """A registry on loopback that the test can look into."""
    with registry() as one:
        yield one


@pytest.fixture(scope="module")
def base(archive: str) -> bytes:
    """The tar of the image that the machine has."""
    return Path(archive).read_bytes()


class Projects:
    """Makes projects, and takes them all down."""

    def __init__(self, machine: Machine, base: Path) -> None:
        self.machine, self.base = machine, base
        self.made: list[Project] = []

    def __call__(self, text: str = "", *, on: Machine | None = None) -> Project:
        name = f"t{os.getpid()}n{next(numbers)}"
        directory = self.base / name
        directory.mkdir()
        self.made.append(Project(on or self.machine, directory, name, text))
        return self.made[-1]

    def close(self, *, failed: bool) -> None:
        for one in reversed(self.made):
            one.close(failed=failed)


@pytest.fixture
def project(machine: Machine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeProject]:
    """``project(text)`` makes a project from a compose file; all are taken down at the end.

    A test that also takes ``other_machine`` names that one first, so that it is checked last.
    """
    projects = Projects(machine, tmp_path)
    yield projects
    projects.close(failed=request.node.stash.get(FAILED, False))


@pytest.fixture(scope="module")
def module_project(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeProject]:
    """The same for projects that a whole module looks at."""
    projects = Projects(machine, tmp_path_factory.mktemp("projects"))
    yield projects
    projects.close(failed=False)


@pytest.fixture
def example(machine: Machine, project: MakeProject) -> Callable[[str], Project]:
    """``example("shop")``: a copy of the example, to be changed at will."""

    def make(name: str) -> Project:
        one = project()
        shutil.copytree(Path(__file__).parents[2] / "examples" / name, one.dir, dirs_exist_ok=True)
        return one

    return make


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """``terminal(project, *words)``: a command on a terminal."""
    made: list[Terminal] = []

    def make(project: Project, *words: str, **settings: object) -> Terminal:
        made.append(Terminal(project, *words, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()
