"""The page of an explanation: what a parser finds in it, and what a real browser does with it."""

import json
from html.parser import HTMLParser

import pytest
import torch

from plstm_graph.testing import random_dag
from plstm_graph.viz.page import Node, attribution_page
from tests.browser import browser

_NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "'\"`&amp;${alert(4)}",
    "]]><!-- --><svg onload=alert(5)>",
    "\u202eevil\u2028\u2029\x1b[31m\x00",
    "javascript:alert(6)",
    "http://example.com/x.js",
]


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.scripts, self.data, self.kind = [], 0, "", None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.kind = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, text):
        self.data += text if self.kind == "data" else ""

    def handle_endtag(self, tag):
        self.kind = None


def made(nodes):
    torch.manual_seed(0)
    edge_index, values = random_dag(nodes, 2 * nodes * (nodes > 1)), torch.randn(nodes)
    told = [
        Node(name, [("op", name), (name, "1.5")], f"{name}\n{name}")
        for name in (f"{_NAMES[each % 8]}{each}" for each in range(nodes))
    ]
    words = {"unit": _NAMES[1], "notes": [_NAMES[2]], "title": f"{_NAMES[0]} = 1"}
    return attribution_page(edge_index, values, told, marked=[nodes - 1], **words)


@pytest.mark.parametrize("nodes", [1, 8, 300, 4000])
def test_names_are_text_and_nothing_is_asked_for(nodes):
    page = made(nodes)
    parser = _Parser()
    parser.feed(page)
    tags = [tag for tag, _ in parser.tags]
    assert tags.count("script") == 2 and not {"img", "link", "iframe", "object", "base", "foreignobject"} & set(tags)
    for _, attributes in parser.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "style", "action")]
    policy = next(attributes["content"] for tag, attributes in parser.tags if "http-equiv" in attributes)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    found = json.loads(parser.data)["nodes"]
    drawn = [attributes["data-n"] for tag, attributes in parser.tags if tag == "g" and "data-n" in attributes]
    assert set(drawn) <= set(found) and len(set(drawn)) == min(nodes, 3000)
    assert all(found[node][0].endswith(node) for node in found)
    views = [attributes for tag, attributes in parser.tags if attributes.get("class") == "view"]
    assert len(views) == (1 if nodes <= 60 else 2)
    edges = [attributes for tag, attributes in parser.tags if "data-a" in attributes]
    assert nodes == 1 or len(edges) > nodes // 4


def test_a_browser_shows_what_a_node_is_and_runs_nothing_else(tmp_path):
    (tmp_path / "page.html").write_text(made(300))
    with browser(tmp_path / "profile") as page:
        page.open(tmp_path / "page.html")
        assert page.run("document.documentElement.dataset.ready") == "yes"
        page.mouse("mouseMoved", *page.middle(".view.on .node.marked"))
        shown = page.run("document.getElementById('tip').innerText")
        assert _NAMES[299 % 8] + "299" in shown and "1.5" in shown
        near = page.run("[...document.querySelectorAll('.view.on .edge.near')].map((e) => [e.dataset.a, e.dataset.b])")
        assert near and all("299" in ends for ends in near)
        page.mouse("mouseMoved", 300, 30)
        assert page.run("document.getElementById('tip').hidden") is True
        page.run("document.querySelector('[data-view=\"1\"]').click()")
        before = page.run("document.getElementById('graph').getAttribute('viewBox')").split()
        x, y = page.middle(".view.on .node.marked")
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100)
        closer = page.run("document.getElementById('graph').getAttribute('viewBox')").split()
        assert float(closer[2]) < float(before[2])
        page.mouse("mousePressed", 400, 500, button="left", buttons=1, clickCount=1)
        page.mouse("mouseMoved", 430, 500, button="left", buttons=1)
        page.mouse("mouseReleased", 430, 500, button="left", clickCount=1)
        moved = page.run("document.getElementById('graph').getAttribute('viewBox')").split()
        assert float(moved[0]) < float(closer[0])
        page.run("document.getElementById('all').click()")
        page.run(
            "{ const f = document.getElementById('find'); f.value = 'ALERT(4)'; f.dispatchEvent(new Event('input')); }"
        )
        assert page.run("document.querySelectorAll('.view.on .found').length") == len(range(3, 300, 8))
        page.screenshot(tmp_path / "page.png")
        asked = [
            each["params"]["request"]["url"] for each in page.events if each["method"].endswith("requestWillBeSent")
        ]
        assert asked == [(tmp_path / "page.html").as_uri()]
        bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")
        assert not [each for each in page.events if each["method"] in bad]


def test_a_link_to_a_node_in_a_browser(tmp_path):
    (tmp_path / "page.html").write_text(made(300))
    with browser(tmp_path / "profile") as page:
        page.open(tmp_path / "page.html", "#view=1&node=7")
        assert "7" in page.run("document.getElementById('tip').innerText")
