"""A strict reader of the pages that `fp8cal report` writes."""

from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "input", "hr", "base"}


class Page(HTMLParser):
    """Elements, ids and text of a page. Raises ValueError where it is not well-formed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.ids, self.texts = [], [], {}, []
        if not text.startswith("<!DOCTYPE html>\n"):
            raise ValueError("no document type")
        self.feed(text)
        self.close()
        if self.open:
            raise ValueError(f"never closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        if len(names) != len(set(names)):
            raise ValueError(f"<{tag}> has an attribute twice: {names}")
        attributes = dict(attributes)
        self.elements.append((tag, attributes, list(self.open)))
        if "id" in attributes:
            if attributes["id"] in self.ids:
                raise ValueError(f"id {attributes['id']} twice")
            self.ids[attributes["id"]] = tag
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        raise ValueError(f"<{tag}/>")

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            raise ValueError(f"</{tag}> within {self.open}")
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def text(self):
        return " ".join(" ".join(self.texts).split())

    def of(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]
