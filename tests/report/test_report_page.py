"""Pages as a whole."""

from polymodal.report.report_page import CONTENTS, with_contents


def test_a_page_begins_with_links_to_its_sections():
    page = with_contents(f'<h1>T</h1>{CONTENTS}<h1 class="target">kind</h1><h2>Verdict</h2><p>&lt;h2&gt;</p>')
    assert '<li class="target"><a href="#s1">kind</a>' in page and '<h1 class="target" id="s1">kind' in page
    assert '<li class=""><a href="#s2">Verdict</a>' in page and '<h2 id="s2">Verdict' in page
    assert with_contents(f"<h1>T</h1>{CONTENTS}") == "<h1>T</h1>"
