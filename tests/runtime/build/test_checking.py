"""What is said of doubtful Dockerfiles: each rule once, and that it can be left out by its name."""

from __future__ import annotations

import re

import pytest

from runtime.build.checking import lint
from runtime.build.instructions import parse

CASES = {
    "StageNameCasing": "FROM a AS Made\n",
    "FromAsCasing": "FROM a as made\n",
    "ReservedStageName": "FROM a AS context\n",
    "DuplicateStageName": "FROM a AS x\nFROM b AS x\n",
    "RedundantTargetPlatform": "FROM --platform=$TARGETPLATFORM a\n",
    "FromPlatformFlagConstDisallowed": "FROM --platform=linux/amd64 a\n",
    "UndefinedArgInFrom": "FROM a:$VERSION\n",
    "ConsistentInstructionCasing": "FROM a\nRUN x\nrun y\n",
    "JSONArgsRecommended": "FROM a\nCMD x\n",
    "WorkdirRelativePath": "FROM a\nWORKDIR x\n",
    "MultipleInstructionsDisallowed": 'FROM a\nCMD ["x"]\nCMD ["y"]\n',
    "MaintainerDeprecated": "FROM a\nMAINTAINER x\n",
    "LegacyKeyValueFormat": "FROM a\nENV x y\n",
    "SecretsUsedInArgOrEnv": "FROM a\nENV DB_PASSWORD=x\n",
    "ExposeProtoCasing": "FROM a\nEXPOSE 80/TCP\n",
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
    ],
)
def test_what_is_fine(text: str) -> None:
    assert rules(text) == []
