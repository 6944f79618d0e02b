"""Chat templates of strangers: bounded in output, depth, time and memory; others as Transformers writes."""

import time

import jinja2
import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from polymodal.data.chat import sandbox
from polymodal.data.chat.sandbox import render

MESSAGES = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "hällo"}, {"type": "image"}]},
    {"role": "assistant", "content": "yes"},
]
VALUES = {"messages": MESSAGES, "tools": None, "documents": None, "add_generation_prompt": True}

SHOWN = "{{ m.content if m.content is string else m.content[0].text }}"
NUMBERED = "{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m | tojson }}"
HONEST = [
    "{% for m in messages %}{{ m['role'] ~ ': ' }}" + SHOWN + "\n{% endfor %}",
    "{%- set ns = namespace(n=0) -%}{% for m in messages if m.role != 'system' %}"
    + NUMBERED
    + "{% endfor %}",
    "{% for m in messages %}{% if loop.index0 * 2 > 1 %}{% break %}{% endif %}"
    "{% generation %}{{ m.role.upper() }}{% endgeneration %}{% endfor %}",
    "{{ messages[0].content.replace('be', 'is').strip() }}{{ '-' * 20 }}{{ dict(a=1) }}{{ bos_token }}",
    "{% set a, b = 1, [2, {'c': 3}] %}{{ a }}{{ b[1].c }}{{ ['x', 'y'] | join(', ') }}"
    "{{ 'a-b' | replace('-', '+') }}",
    "{% for k, v in {'p': 1, 'q': 2}.items() %}{{ ', '.join([k, 'z']) }}{{ v ~ none ~ [1] }}{% endfor %}",
    "{% macro say(m) %}<{{ m.role }}>{% endmacro %}{% for m in messages %}{{ say(m) }}{% endfor %}",
    "   {% if add_generation_prompt %}\n  assistant{% endif %}\n",
]


@pytest.mark.parametrize("source", HONEST)
def test_honest_templates_write_what_transformers_writes(source):
    (theirs,), _ = render_jinja_template(
        conversations=[MESSAGES], chat_template=source, add_generation_prompt=True, bos_token="<s>"
    )
    assert render(source, {"bos_token": "<s>", **VALUES}) == theirs


SIXTY = "{% set ns = namespace(s='x') %}{% for a in range(60) %}{% set ns.s = NEXT %}{% endfor %}"
HOSTILE = {
    "time": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "output": "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "a long text": "{{ 'x' * 1000000000 }}",
    "doubling": SIXTY.replace("NEXT", "ns.s ~ ns.s"),
    "joining": SIXTY.replace("NEXT", "[ns.s, ns.s] | join"),
    "straight doubling": "{% set s = 'x' %}" + "{% set s = s ~ s %}" * 60,
    "lists": "{% set l = [0] * 1000000000 %}",
    "depth": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "nested source": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "padding": "{{ 'x'.ljust(1000000000) }}",
    "formatting": "{{ '%1000000000d' % 1 }}",
    "formatting by a method": "{{ '{:>999999999}'.format(1) }}",
    "a method by its name": "{{ ('{:>999999999}' | attr('format'))(1) }}",
    "a method in a variable": "{% set f = '{:>999999999}'['format'] %}{{ f(1) }}",
    "a method of marked text": "{{ ('{:>999999999}' | safe).format(1) }}",
    "bytes": "{{ ('x'.encode() * 999999999) | length }}",
    "bytes of a number": "{{ (1).to_bytes(999999999) }}",
    "formatting by a filter": "{{ '%1000000000d' | format(1) }}",
    "replacing": "{{ ('x' * 100000).replace('x', 'y' * 100000) }}",
    "indent": "{{ 'x' | indent(1000000000, true) }}",
    "replacing by a filter": "{{ (('x' * 10000) | replace('x', 'y' * 100000)) | length }}",
    "joining many": "{% set a = 'x' * 1000000 %}{{ (" + "~".join(["a"] * 500) + ") | length }}",
    "joining letters": "{{ ('x' * 100000) | join('y' * 100000) | length }}",
    "a method that joins": "{{ ('y' * 100000).join(['x'] * 100000) | length }}",
    "nested lists": "{% set a = [0] %}" + "{% set a = [a, a] %}" * 40 + "{{ a == a }}{{ a }}",
    "nested dicts": "{% set a = {} %}" + "{% set a = {'a': a, 'b': a} %}" * 40 + "{{ a | tojson }}",
    "dicts by a call": "{% set a = 1 %}" + "{% set a = dict(a=a, b=a) %}" * 40 + "{{ a | string }}",
    "namespaces": "{% set a = namespace() %}" + "{% set a = namespace(a=a, b=a) %}" * 40 + "{{ a }}",
    "filling": "{{ [1] | batch(100000000, 0) | list | length }}",
    "python's own": "{{ ''.__class__.__mro__ }}",
    "a long source": "x" * 300_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_ends_in_one_error(name, monkeypatch):
    monkeypatch.setattr(sandbox, "MOST_SECONDS", 0.3)
    monkeypatch.setattr(sandbox, "MOST_MEMORY", 64 * 2**20)
    began = time.process_time()
    with pytest.raises((jinja2.TemplateError, TypeError)):
        render(HOSTILE[name], VALUES)
    assert time.process_time() - began < 5
