"""Our reader and writer of JSON against Python's."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import plain_json

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_the_text_is_pythons(value: Any, ascii_only: bool, tight: bool, separators: tuple[str, str]) -> None:
    kwargs: dict[str, Any] = {"ensure_ascii": ascii_only}
    if tight:
        kwargs["separators"] = separators
    text = plain_json.dumps(value, **kwargs)
    assert text == json.dumps(value, **kwargs)
    assert plain_json.loads(f" \n{text}\t") == json.loads(text)
    assert plain_json.loads(text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")) == json.loads(text)


@given(st.dictionaries(st.text(), st.integers()))
def test_keys_are_sorted_and_lines_indented_as_pythons(value: dict[str, int]) -> None:
    assert plain_json.dumps(value, sort_keys=True) == json.dumps(value, sort_keys=True)
    assert plain_json.dumps(value, indent=2) == json.dumps(value, indent=2)


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\u\n', max_size=12))
def test_what_python_refuses_is_refused(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            plain_json.loads(text)
    else:
        assert repr(plain_json.loads(text)) == repr(expected)


def test_bytes_files_and_strings(tmp_path: Any) -> None:
    (tmp_path / "x").write_bytes('{"ä": 1}'.encode())
    with open(tmp_path / "x", "rb") as file:
        assert plain_json.load(file) == {"ä": 1}
    assert plain_json.quote('ä"\n') == '"ä\\"\\n"'
    with pytest.raises(TypeError, match="object is not JSON serializable"):
        plain_json.dumps([object()])
    with pytest.raises(ValueError, match="more than one"):
        plain_json.loads("1 2")


def test_another_python_is_served_by_json() -> None:
    """Without the C functions everything is as slow as json's own, and the same."""
    code = (
        "import sys; sys.modules['_json'] = None\n"
        "from runtime import plain_json as p\n"
        "assert p.loads(' {\"a\": [1]} ') == {'a': [1]} and p.dumps({'a': 1}, separators=(',', ':')) == '{\"a\":1}'\n"
        "assert p.quote('x') == '\"x\"' and 'json' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
