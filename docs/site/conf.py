"""How Sphinx makes the course's site, of the pages that tools/build_site.py lays out."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "MNIST CNN course"
author = copyright = "the authors of the MNIST CNN course"
language = "en"
root_doc = "index"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

# The notebooks are shown as they are stored: nothing is executed.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

toc_object_entries = False
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "ignore-module-all": True}
napoleon_use_rtype = False

html_theme = "sphinx_book_theme"
html_title = "MNIST CNN course"
html_extra_path = ["extra"]
html_favicon = "static/favicon.svg"
html_context = {"default_mode": "auto"}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_math_renderer = "mathml"
html_theme_options = {
    "repository_branch": "main",  # its address is handed in
    "path_to_docs": "",
    "navbar_persistent": [],
    "use_repository_button": True,
    "use_download_button": True,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "show_toc_level": 2,
}


def write_mathml(translator, node: nodes.math) -> None:
    """A formula as MathML, which browsers draw themselves: no script has to be fetched."""
    block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext(), as_block=block)
    translator.body.append(f"<div class='formula'>{formula}</div>" if block else formula)
    raise nodes.SkipNode


def setup(app) -> None:
    """Make known how formulas are written."""
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))
