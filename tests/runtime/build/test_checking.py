"""What is said of doubtful Dockerfiles: each rule once, and that it can be left out by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.build import settings
from runtime.build.checking import lint
from runtime.build.instructions import parse
from runtime.build.patterns import Ignore
from runtime.errors import RuntimeFault
from runtime.images import store
from runtime.paths import Roots
from tests.runtime.build.build_support import Workshop
from tests.runtime.images.conftest import make_tar, member

CASES = {
    "StageNameCasing": "FROM a AS Made\n",
    "FromAsCasing": "FROM a as made\n",
    "ReservedStageName": "FROM a AS context\n",
    "DuplicateStageName": "FROM a AS x\nFROM b AS x\n",
    "RedundantTargetPlatform": "FROM --platform=$TARGETPLATFORM a\n",
    "FromPlatformFlagConstDisallowed": "FROM --platform=linux/amd64 a\n",
    "UndefinedArgInFrom": "FROM a$VERSION\n",
    "InvalidDefaultArgInFrom": "ARG VERSION\nFROM a:$VERSION\n",
    "ConsistentInstructionCasing": "FROM a\nRUN x\nrun y\n",
    "JSONArgsRecommended": "FROM a\nCMD x\n",
    "WorkdirRelativePath": "FROM a\nWORKDIR x\n",
    "MultipleInstructionsDisallowed": 'FROM a\nCMD ["x"]\nCMD ["y"]\n',
    "MaintainerDeprecated": "FROM a\nMAINTAINER x\n",
    "LegacyKeyValueFormat": "FROM a\nENV x y\n",
    "SecretsUsedInArgOrEnv": "FROM a\nENV DB_PASSWORD=x\n",
    "ExposeProtoCasing": "FROM a\nEXPOSE 80/TCP\n",
    "ExposeInvalidFormat": "FROM a\nENV P=80:80\nEXPOSE $P\n",
    "UndefinedVar": "FROM a\nCOPY $x /y\n",
}


def rules(text: str) -> list[str]:
    return [name for line in lint(parse(text.encode())) for name in re.findall(r"\((\w+)\)$", line)]


@pytest.mark.parametrize("rule", CASES)
def test_a_rule(rule: str) -> None:
    assert rules(CASES[rule]) == [rule]
    assert rules(f"# check=skip=Other,{rule};error=true\n{CASES[rule]}") == []
    assert rules(f"# check=skip=Other\n{CASES[rule]}") == [rule]
    assert rules(f"# check=skip=all\n{CASES[rule]}") == []


@pytest.mark.parametrize(
    "text",
    [
        "ARG V=1\nFROM a:$V AS made\n",
        "from a as made\nrun x\n",
        'FROM a\nSHELL ["sh", "-c"]\nCMD x\n',
        "FROM a\nWORKDIR /x\nWORKDIR y\n",
        "FROM a\nENV PUBLIC_KEY=x TOKEN_FILE=y KEYBOARD=z\n",
        "FROM --platform=$BUILDPLATFORM a\n",
        "ARG V\nFROM a:${V:-1}\n",
        "FROM a\nARG P\nEXPOSE $P 80 90/udp 1-2\n",
        "FROM a AS b\nENV V=1\nFROM b\nCOPY $V /\n",
        "# what is this\nARG x=1\nFROM a\n",
    ],
)
def test_what_is_fine(text: str) -> None:
    assert rules(text) == []


@pytest.mark.parametrize(
    ("above", "told"),
    [
        ("# hello\nARG x\n", [3]),
        ("# x is it\nARG x\n", []),
        ("#x\n# other\n\nARG x\n", [5]),
        ("# other\n#\nARG x\n", []),
        ("ARG x\n", []),
        ("# z\nARG x y\n", [3]),
        ("# y\nARG x y\n", []),
        ("# Made\nFROM a AS made\n", [3]),
        ("# anything\nFROM a\n", []),
    ],
)
def test_descriptions(above: str, told: list[int]) -> None:
    """As BuildKit answers ``docker build --check``: only where the file asks, whatever it skips."""
    asks = "# check=experimental=InvalidDefinitionDescription;skip=all\n"
    assert rules(f"{above}FROM b\n").count("InvalidDefinitionDescription") == 0
    found = lint(parse(f"{asks}{above}FROM b\n".encode()))
    assert [int(line.split(":")[1]) for line in found] == told


def test_what_is_ignored_and_copied() -> None:
    ignore = Ignore(["ignored.txt", "dir/f", "*.log", "!keep.log", "d2"])
    copies = {
        "COPY ignored.txt /": 1,
        'COPY ["dir/f", "ignored.txt", "/x/"]': 2,
        "COPY dir /d": 0,
        "COPY *.log keep.log /": 1,
        "COPY d2/a d2 /": 2,
        "ADD ignored.txt /": 1,
        "COPY ./ignored.txt /ignored.txt ign* d2/../ignored.txt /": 0,
        "COPY --from=x ignored.txt /": 0,
        "ADD https://example.com/ignored.txt /": 0,
        "COPY <<ignored.txt /\nx\nignored.txt": 0,
        "ENV V=ignored.txt\nCOPY $V /": 1,
        "ONBUILD COPY ignored.txt /": 0,
    }
    for text, count in copies.items():
        file = f"# check=experimental=all\nFROM a\n{text}\n"
        assert len(lint(parse(file.encode()), ignore=ignore)) == count, text
    assert lint(parse(b"FROM a\nCOPY ignored.txt /\n"), ignore=ignore) == []


def test_exposed_mappings() -> None:
    assert settings.ports(["8080:80", "127.0.0.1::82/UDP", "5-6:7-8", "[::1]:9:9"]) == [
        "82/udp",
        "7/tcp",
        "8/tcp",
        "80/tcp",
        "9/tcp",
    ]


@pytest.mark.root
def test_variables_of_images_that_are_here(tmp_path: Path) -> None:
    roots = Roots(str(tmp_path / "state"), str(tmp_path / "run"))
    (tmp_path / "x.tar").write_bytes(make_tar(member("a")))
    store.import_rootfs(roots, str(tmp_path / "x.tar"), "base:1", ["ENV JAVA_HOME=/java PORT=80:80"])
    text = b"ARG V=1\nFROM base:$V AS a\nCOPY x $JAVA_HOME\nFROM a\nEXPOSE $PORT\nCOPY $nothing /\n"
    told = [re.findall(r":(\d+): .*\((\w+)\)$", line) for line in lint(parse(text), roots=roots)]
    assert told == [[("5", "ExposeInvalidFormat")], [("6", "UndefinedVar")]]


@pytest.mark.root
def test_a_build_obeys_the_rules_that_its_file_asks_for(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    context = tmp_path / "strict"
    context.mkdir()
    (context / "a").write_text("a")
    (context / ".dockerignore").write_text("a\n!a\nb\n")
    (context / "Dockerfile").write_text("# check=experimental=all;error=true\nFROM base:1\nCOPY a /\n")
    workshop.build(context)
    (context / "Dockerfile").write_text("# check=experimental=all;error=true\nFROM base:1\nCOPY b /\n")
    with pytest.raises(RuntimeFault, match="CopyIgnoredFile"):
        workshop.build(context)
