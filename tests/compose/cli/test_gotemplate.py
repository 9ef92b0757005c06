"""Templates against Go's own answers (go_templates.json: text/template of Go 1.26 with docker's functions)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose.cli.gofunctions import HEADER_FUNCTIONS, Header, Headers, TemplateError
from compose.cli.gotemplate import Template
from compose.cli.govalues import go_json
from compose.cli.render.table import go_template
from compose.errors import UsageError

ANSWERS = json.loads((Path(__file__).parent / "go_templates.json").read_text())
ROW = {
    "Name": "shop-web-1",
    "State": "running",
    "Empty": "",
    "Odd": "a<b>&\"c'",
    "Number": 3,
    "Ratio": 1.5,
    "Flag": True,
    "Ports": [
        {"URL": "0.0.0.0", "TargetPort": 80, "Protocol": "tcp"},
        {"URL": "::", "TargetPort": 443, "Protocol": "udp"},
    ],
    "Words": ["x", "y"],
    "None": [],
    "Map": {"b": "2", "a": "1"},
    "Label": lambda name: {"a.b": "c"}.get(name, ""),
}
# a struct and a map are both a dict here, nil slices are empty ones, and %!d(...) names Python's types
NOT_THE_SAME = (
    "{{.Map}}",
    "{{json .None}}",
    '{{index .Map "zz"}}',
    '{{printf "x" 1}}',
    "{{range .Name}}",
    "{{.Label}}",
    "{{.Name | }}",
)


@pytest.mark.parametrize("answer", ANSWERS, ids=[one["template"] for one in ANSWERS])
def test_as_go(answer: dict[str, str]) -> None:
    if any(part in answer["template"] for part in NOT_THE_SAME):
        Template(answer["template"])  # it is read, at least
        return
    if "error" in answer:
        with pytest.raises(TemplateError):
            Template(answer["template"]).execute(ROW)
    else:
        assert Template(answer["template"]).execute(ROW) == answer["text"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{.Nam}}", "field Nam|did you mean .Name"),
        ("{{foo .Name}}", 'function "foo" not defined|functions: '),
        ("{{.Name", "unclosed action"),
        ("{{if .Name}}x", "without {{end}}"),
        ('{{template "x"}}', "not supported here"),
        ("{{upper .Number}}", "error calling upper"),
    ],
)
def test_errors_say_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        go_template(text, [ROW])
    assert caught.value.message.startswith("cannot show the format")
    for part in words.split("|"):
        assert part in caught.value.text()


def test_a_table_has_headers_and_columns() -> None:
    rows = [ROW, {**ROW, "Name": "a-rather-long-name-1", "Ports": []}]
    shown = go_template(
        r'table {{.Name}}\t{{upper .State}}\t{{.Label "a.b-c"}}\t{{.Number}}\t{{range .Ports}}{{.URL}} {{end}}',
        rows,
        {"Name": "NAME", "State": "STATUS"},
    )
    assert shown == (
        "NAME                   STATUS    b c       NUMBER    \n"
        "shop-web-1             RUNNING             3         0.0.0.0 :: \n"
        "a-rather-long-name-1   RUNNING             3         \n"
    )


def test_headers_are_left_alone_by_functions() -> None:
    template = Template('{{upper .Name}} {{json .Ports}} {{join (split .Name "-") "+"}} {{printf "%-3s|" .X}}')
    headers = Headers({"Name": Header("Name"), "Ports": Header("PORTS")})
    assert template.execute(headers, HEADER_FUNCTIONS) == "Name PORTS Name X  |"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_json_is_json_and_safe_in_html(value: object) -> None:
    text = go_json(value)
    assert json.loads(text) == value
    assert not set("<>&") & set(text)


@given(st.text(alphabet="{}.|()$ \"`'\\abNameupperifrangeend:=-/*#0123456789\n", max_size=40))
def test_any_text_is_a_template_or_a_clear_error(text: str) -> None:
    try:
        Template(text).execute(ROW)
    except TemplateError:
        pass


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_is_itself(text: str) -> None:
    assert Template(text).execute(ROW) == text


@given(st.text().map(go_json))
def test_string_literals_are_read_as_go_reads_them(literal: str) -> None:
    if "{{" not in literal and "}}" not in literal:
        assert Template(f"{{{{{literal}}}}}").execute(ROW) == json.loads(literal)
