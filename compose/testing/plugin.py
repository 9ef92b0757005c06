"""The pytest plugin. pytest imports this module in every project, so it imports nothing until a fixture is used."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any

    from compose.testing.aio import AsyncStack
    from compose.testing.faults import Faults
    from compose.testing.registry import Registry
    from compose.testing.service import Service
    from compose.testing.stack import Stack

_MARKER = (
    "compose(file=, services=, profiles=, env=, scope=, scale=, reset=): the stack that this test runs with; "
    "scope: function, class, module or session"
)
_SCOPES = ("function", "class", "module", "package", "session")
_REGISTRY = pytest.StashKey["Registry"]()
_TEST = pytest.StashKey[str]()  # the node id of the one that runs


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("compose", "stacks of containers (pycompose)")
    add = group.addoption
    add("--compose-file", dest="compose_file", metavar="FILE", help="Compose file of the stack")
    add("--compose-scope", dest="compose_scope", choices=_SCOPES, default="session", help="scope of `compose`")
    add(
        "--compose-keep",
        dest="compose_keep",
        choices=("failed", "always", "never"),
        default="never",
        help="leave stacks running at the end, and say how to look at them",
    )
    add(
        "--compose-xdist",
        dest="compose_xdist",
        choices=("per-worker", "shared"),
        default="per-worker",
        help="with pytest-xdist: a stack for each worker, or one for all",
    )
    add(
        "--compose-ports",
        dest="compose_ports",
        choices=("random", "as-is"),
        default="random",
        help="published ports: ephemeral on loopback, or as the file has them",
    )
    add(
        "--compose-artifacts", dest="compose_artifacts", metavar="DIR", help="on failure write logs, plan, events there"
    )
    add("--compose-timings", dest="compose_timings", action="store_true", help="say how long stacks took")
    parser.addini("pycompose_file", "Compose file of the stack, relative to the root of the tests")
    parser.addini("pycompose_service_fixtures", "services to have a fixture of their name", type="args")
    parser.addini(
        "pycompose_reset", "what `stack` puts back before each test: none, volumes or full", default="volumes"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    names = config.getini("pycompose_service_fixtures")
    if names:
        module = types.ModuleType("pycompose_services")
        for name in names:
            setattr(module, f"_{name}", _service_fixture(name))
        config.pluginmanager.register(module, "pycompose_services")


def _service_fixture(name: str) -> Any:
    @pytest.fixture(name=name.replace("-", "_"))
    def fixture(request: pytest.FixtureRequest) -> Service:
        return _stack_of(request).service(name)

    return fixture


# -- fixtures


@pytest.fixture(scope="session")
def compose_file(pytestconfig: pytest.Config) -> str:
    """The Compose file; override it to choose another one."""
    from compose.testing.registry import default_file

    return default_file(pytestconfig)


@pytest.fixture(scope="session")
def compose_project_name() -> str:
    """The project's name; empty for a random one, which lets test runs go side by side."""
    return ""


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    return config.getoption("compose_scope")


@pytest.fixture(scope=_scope)
def compose(request: pytest.FixtureRequest, compose_file: str, compose_project_name: str) -> Stack:
    """The stack of :func:`compose_file`, up and running."""
    from compose.testing.registry import DEFAULT

    options = {
        "files": [compose_file] if isinstance(compose_file, str) else list(compose_file),
        "project_name": compose_project_name,
        "resettable": _wanted_reset(request),
    }
    return _registry(request.config).get(DEFAULT, options, request.addfinalizer)


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Stack:
    """The test's stack, put back to what it was right after start-up; one that workers share only with a marker."""
    found = _stack_of(request)
    asked = _marked(request).get("reset")
    level = asked or request.config.getini("pycompose_reset")
    entry = next(one for one in _registry(request.config).live.values() if one.stack is found)
    if found.resettable != "none" and (asked or entry.turns is None):
        entry.timed("reset", lambda: found.reset(min(level, found.resettable, key=("none", "volumes", "full").index)))
    return found


@pytest.fixture
def aio_stack(stack: Stack) -> AsyncStack:
    """``stack`` for tests that are coroutines, whichever plugin runs them on asyncio."""
    return stack.aio


@pytest.fixture
def aio_compose(compose: Stack) -> AsyncStack:
    """``compose`` for tests that are coroutines."""
    return compose.aio


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Callable[[str], Service]:
    """``service("db")``: a service of the test's stack."""
    return _stack_of(request).service


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Break things in the test's stack; all is healed at the end of the test."""
    found = _stack_of(request).faults
    yield found
    found.heal()


@pytest.fixture(scope="session")
def compose_factory(request: pytest.FixtureRequest) -> Callable[..., Stack]:
    """``compose_factory("other.yaml", name="", **options)``: one more stack, up until the end of the session."""
    registry = _registry(request.config)
    numbers = iter(range(1 << 30))

    def make(*files: str, name: str = "", **options: Any) -> Stack:
        chosen = {"files": list(files), "project_name": name, **options}
        return registry.get(("factory", next(numbers)), chosen, request.addfinalizer)

    return make


def _stack_of(request: pytest.FixtureRequest) -> Stack:
    """The marker's stack, else the default one."""
    from compose.testing.registry import DEFAULT, USED

    marked = _marked(request)
    if marked:
        return _marked_stack(request, marked)
    request.node.stash.setdefault(USED, set()).add(DEFAULT)
    return request.getfixturevalue("compose")  # type: ignore[no-any-return]


def _marked_stack(request: pytest.FixtureRequest, marked: dict[str, Any]) -> Stack:
    from compose.testing.registry import USED

    scope = marked.get("scope", "module")
    if scope not in _SCOPES:
        pytest.fail(
            f"cannot use scope={scope!r} in @pytest.mark.compose: choose one of {', '.join(_SCOPES)}", pytrace=False
        )
    node = _node(request, scope)
    file = marked.get("file") or request.getfixturevalue("compose_file")
    files = [file] if isinstance(file, str) else list(file)
    options = {key: marked[key] for key in ("services", "profiles", "env", "scale") if marked.get(key)}
    options["files"] = [str(request.path.parent / one) for one in files]
    options["resettable"] = marked.get("reset") or _wanted_reset(request)
    key = (scope, node.nodeid, repr(sorted(options.items())))
    request.node.stash.setdefault(USED, set()).add(key)
    return _registry(request.config).get(key, options, node.addfinalizer)


def _node(request: pytest.FixtureRequest, scope: str) -> pytest.Item | pytest.Collector:
    kinds: dict[str, Any] = {"class": pytest.Class, "module": pytest.Module, "package": pytest.Package}
    if scope == "function":
        return request.node  # type: ignore[no-any-return]
    found = request.node.getparent(kinds.get(scope, pytest.Session))
    return found if found is not None else request.node.getparent(pytest.Module)  # type: ignore[no-any-return]


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the markers say, the nearest one first; empty without any."""
    merged: dict[str, Any] = {}
    if isinstance(request.node, pytest.Item):
        for marker in request.node.iter_markers("compose"):
            merged = {**marker.kwargs, **merged}
            if marker.args:
                merged.setdefault("file", marker.args[0])
    return merged


def _wanted_reset(request: pytest.FixtureRequest) -> str:
    """What the stack must be made for: nothing, unless some test asks for a clean one."""
    asked = any("stack" in getattr(item, "fixturenames", ()) for item in request.session.items)
    return str(request.config.getini("pycompose_reset")) if asked else "none"


def _registry(config: pytest.Config) -> Registry:
    if _REGISTRY not in config.stash:
        from compose.testing.registry import Registry

        config.stash[_REGISTRY] = Registry(config, config.stash.get(_TEST, ""))
    return config.stash[_REGISTRY]


# -- hooks: all of them do nothing until a stack was made


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[_TEST] = item.nodeid
    registry = item.config.stash.get(_REGISTRY, None)
    if registry is not None:
        registry.begin(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    try:
        yield
    finally:
        registry = item.config.stash.get(_REGISTRY, None)
        if registry is not None:
            registry.over()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    registry = item.config.stash.get(_REGISTRY, None)
    if registry is not None and report.failed and report.when in ("setup", "call"):
        from compose.testing.report import sections

        registry.failed(item)
        for entry in registry.used_by(item):
            report.sections += list(sections(entry.stack))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    registry = config.stash.get(_REGISTRY, None)
    if registry is not None and registry.summary:
        terminalreporter.section("compose")
        for line in registry.summary:
            terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the controller of a run with one stack for all workers: they have ended, take it down."""
    distributed = session.config.pluginmanager.getplugin("dsession")
    if distributed is not None and session.config.getoption("compose_xdist") == "shared":
        from compose.testing import shared

        shared.end(str(distributed.nodemanager.testrunuid))
