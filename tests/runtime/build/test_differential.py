"""Our builder against what BuildKit answered (record.py): file tree, configuration and history of small Dockerfiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.build.instructions import FLAGS, Instruction, parse
from runtime.build.mounts import KEYS, parse_mount
from runtime.errors import RuntimeFault
from tests.runtime.build.build_support import Workshop, settings_from_args
from tests.runtime.build.case_files import ANSWERS, Case, describe, read_cases, tree_of

pytestmark = pytest.mark.root
CASES = {case.name: case for case in read_cases()}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="module")
def base_tree(workshop: Workshop) -> dict[str, list[Any]]:
    return tree_of(workshop.roots, workshop.base)


@pytest.mark.parametrize("name", CASES)
def test_as_buildkit(name: str, workshop: Workshop, base_tree: dict[str, list[Any]], tmp_path: Path) -> None:
    case: Case = CASES[name]
    answer = json.loads((ANSWERS / f"{name}.json").read_text())
    case.write(tmp_path)
    settings = settings_from_args(case.args, tmp_path)
    if "error" in answer:
        with pytest.raises(RuntimeFault):
            workshop.build(tmp_path, **settings)
        return
    image, _events = workshop.build(tmp_path, **settings)
    ours = describe(workshop.roots, image, base_tree)
    for part in ("config", "history", "gone", "tree", "layers"):
        assert ours[part] == answer[part], part


def _instructions() -> list[Instruction]:
    """Of all cases that have an answer."""
    found = []
    for case in CASES.values():
        if (ANSWERS / f"{case.name}.json").exists():
            try:
                file = parse(case.dockerfile.encode())
            except RuntimeFault:
                continue
            steps = [*file.globals, *(step for stage in file.stages for step in stage.steps)]
            found += [*steps, *(step.inner for step in steps if step.inner is not None)]
    return found


def _stages() -> list[str]:
    return [
        stage.original
        for case in CASES.values()
        if "error" not in json.loads((ANSWERS / f"{case.name}.json").read_text())
        for stage in parse(case.dockerfile.encode()).stages
    ]


def test_every_case_has_an_answer_and_every_answer_a_case() -> None:
    assert {path.stem for path in ANSWERS.glob("*.json")} == set(CASES)
    asked = [name for name in CASES if "source" not in json.loads((ANSWERS / f"{name}.json").read_text())]
    assert len(asked) >= 80


@pytest.mark.parametrize("keyword", sorted(FLAGS))
def test_every_instruction_is_answered_twice(keyword: str) -> None:
    if keyword == "FROM":
        assert len(_stages()) >= 2
        return
    assert sum(step.keyword == keyword for step in _instructions()) >= 2


@pytest.mark.parametrize(("keyword", "flag"), [(keyword, flag) for keyword in sorted(FLAGS) for flag in FLAGS[keyword]])
def test_every_flag_is_answered_twice(keyword: str, flag: str) -> None:
    if keyword == "FROM":
        assert sum(f"--{flag}=" in text for text in _stages()) >= 2
        return
    used = sum(flag in {name for name, _value in step.flags} for step in _instructions() if step.keyword == keyword)
    assert used >= 2


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_every_kind_of_mount_is_answered_twice(kind: str) -> None:
    mounts = [text for step in _instructions() if step.keyword == "RUN" for text in step.every("mount")]
    known = [text for text in mounts if "type=foo" not in text and "$" not in text and "target" in text]
    others = [text for text in mounts if f"type={kind}" in text]
    assert len(others) >= 2 or sum(parse_mount(text, {}).type == kind for text in known) >= 2
