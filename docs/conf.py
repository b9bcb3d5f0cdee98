"""How Sphinx builds the site: one folder a language, `-D language=` says which."""

import json
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

HERE = Path(__file__).parent
#: English page to Turkish page.
PAGES = json.loads((HERE / "pages.json").read_text(encoding="utf-8"))

project = "flask-ailydian"
author = "The flask-ailydian developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence"]
myst_heading_anchors = 3
nitpicky = True
# Two words of code, `console` and `text`, need no colours that a lexer would guess.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = "flask-ailydian"
html_show_copyright = False
html_copy_source = False
html_use_index = False
html_domain_indices = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_theme_options = {"top_of_page_buttons": []}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
locale_dirs = [str(HERE / "_build" / "locale")]
gettext_auto_build = False


def compile_words():
    """Compile the theme's words that Sphinx brings no Turkish for."""
    target = HERE / "_build" / "locale" / "tr" / "LC_MESSAGES"
    target.mkdir(parents=True, exist_ok=True)
    with (HERE / "locale" / "tr.po").open("rb") as source:
        words = read_po(source, locale="tr")
    with (target / "sphinx.mo").open("wb") as compiled:
        write_mo(compiled, words)


def add_twin(app, pagename, templatename, context, doctree):
    """Give the template the same page in the other language."""
    twins = PAGES if app.config.language == "en" else {b: a for a, b in PAGES.items()}
    other = "tr" if app.config.language == "en" else "en"
    up = "../" * (pagename.count("/") + 1)
    context["other_language"] = other
    context["twin"] = f"{up}{other}/{twins.get(pagename, 'index')}.html"


compile_words()


def setup(app):
    app.connect("html-page-context", add_twin)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
