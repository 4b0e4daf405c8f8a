"""The template language of packages; the expectations are what DC/OS made of such templates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.universe.mustache import TemplateError, render

NESTED = {"app-master": {"cpus": 1.0, "on": True}, "list": [{"key": "a"}, {"key": "b"}], "zero": 0}


@pytest.mark.parametrize(
    ("template", "values", "result"),
    [
        ("{{a}}", {"a": "x"}, "x"),
        ("{{ a }}", {"a": "x"}, "x"),
        ("{{a}}", {}, ""),
        ("{{a}}", {"a": None}, ""),
        ("{{{a}}}|{{&a}}", {"a": "<&>"}, "<&>|<&>"),
        ("{{a}}", {"a": "<&'>"}, "<&'>"),
        ('"{{a}}"', {"a": 'say "hi"\n\\'}, r'"say \"hi\"\n\\"'),
        ("{{a}}", {"a": True}, "true"),
        ("{{a}}", {"a": False}, "false"),
        ("{{a}}", {"a": 1024.0}, "1024"),
        ("{{a}}", {"a": 0.1}, "0.1"),
        ("{{a}}", {"a": 7}, "7"),
        ("{{a}}", {"a": ["x", 1.0]}, '["x",1]'),
        ("{{a}}", {"a": [["hostname", "UNIQUE"]]}, '[["hostname","UNIQUE"]]'),
        ("{{app-master.cpus}}", NESTED, "1"),
        ("{{app-master.mem}}", NESTED, ""),
        ("{{#app-master.on}}yes{{/app-master.on}}", NESTED, "yes"),
        ("{{^app-master.on}}no{{/app-master.on}}", NESTED, ""),
        ("{{#list}}<{{key}}>{{/list}}", NESTED, "<a><b>"),
        ("{{#app-master}}{{cpus}} {{zero}}{{/app-master}}", NESTED, "1 0"),
        ("{{#zero}}there{{/zero}}", NESTED, "there"),
        ("{{#a}}x{{/a}}{{^a}}y{{/a}}", {"a": ""}, "y"),
        ("{{#a}}x{{/a}}{{^a}}y{{/a}}", {"a": []}, "y"),
        ("{{#a}}x{{/a}}{{^a}}y{{/a}}", {"a": None}, "y"),
        ("{{#a}}{{.}},{{/a}}", {"a": ["x", "y"]}, "x,y,"),
        ("a{{! a remark }}b", {}, "ab"),
        ("{{#asJson}}a{{/asJson}}", {"a": {"b": [1.0, True, "c"]}}, '{"b":[1,true,"c"]}'),
        ("{{#a}}{{#a}}{{b}}{{/a}}{{/a}}", {"a": {"b": 1}}, "1"),
    ],
)
def test_render(template: str, values: dict[str, Any], result: str) -> None:
    assert render(template, values) == result


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{#a}}", "line 1: {{#a}} has no end"),
        ("\n{{/a}}", "line 2: {{/a}} ends no section"),
        ("{{#a}}\n{{/b}}", "line 2: {{/b}} ends no section; {{/a}} is expected here"),
        ("{{> other}}", "partial"),
        ("{{=<% %>=}}", "delimiter"),
        ("{{ }}", "without a name"),
    ],
)
def test_wrong_templates_are_named_by_line(template: str, said: str) -> None:
    with pytest.raises(TemplateError) as raised:
        render(template, {})
    assert said in str(raised.value)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_between_quotes_stays_json(text: str) -> None:
    assert json.loads(render('{"a": "{{x}}"}', {"x": text})) == {"a": text}
