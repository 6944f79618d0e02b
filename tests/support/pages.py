"""HTML pages as a reader sees them, and what they would load from elsewhere."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Whatever a page would load from elsewhere, and its text."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        found = [given[name] for name in ("src", "href", "xlink:href") if given.get(name)]
        self.loads += [link for link in found if not link.startswith(("data:", "#"))]
        self.loads += [tag] if tag in ("link", "script", "iframe") else []

    def handle_data(self, data):
        self.text += data
