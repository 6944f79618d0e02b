"""Pages as a whole."""

from polymodal.report.report_page import CONTENTS, scrolling, with_contents


def test_a_page_begins_with_links_to_its_sections():
    page = with_contents(f'<h1>T</h1>{CONTENTS}<h1 class="target">kind</h1><h2>Verdict</h2><p>&lt;h2&gt;</p>')
    assert '<li class="target"><a href="#s1">kind</a>' in page and '<h1 class="target" id="s1">kind' in page
    assert '<li class=""><a href="#s2">Verdict</a>' in page and '<h2 id="s2">Verdict' in page
    assert with_contents(f"<h1>T</h1>{CONTENTS}") == "<h1>T</h1>"


def test_what_scrolls_on_a_phone_can_be_reached_by_keyboard():
    wide = '<div class="scroll"><table></table></div><figure><svg></svg></figure>'
    page = scrolling(f"{wide}&lt;figure>&lt;svg")
    assert page.count('class="scroll" tabindex="0"') == 2
    assert page.endswith("&lt;figure>&lt;svg")
