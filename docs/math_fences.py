"""A hook of MkDocs: formulas as MathML, which browsers show without scripts. GitHub renders the same notation itself."""

import re

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig

# `$x_1$`, within one line break at most, outside of code: the opening dollar has no space after it, the closing none before.
INLINE = re.compile(r"(?<![\w$`\\])\$(?!\s)([^$`]{1,80}?)(?<!\s)\$(?![\w$`])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Tells SuperFences how to render blocks of `math`."""
    superfences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    superfences.setdefault("custom_fences", []).append({"name": "math", "class": "math", "format": _block})
    return config


def on_page_markdown(markdown: str, **kwargs) -> str:
    """Renders inline formulas, on all lines that are not part of a fenced block."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [INLINE.sub(lambda found: convert(found[1]), text) for text in parts[::2]]
    return "".join(parts)


def _block(source: str, language: str, css_class: str, options: dict, md, **kwargs) -> str:
    return f'<div class="{css_class}">{convert(source, display="block")}</div>'
