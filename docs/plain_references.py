"""An extension of Griffe: a name in square brackets, as Transformers writes references in docstrings, is set as code."""

import re

import griffe

REFERENCE = re.compile(r"\[(`[^`\]]+`)\](?![\[(])")


class PlainReferences(griffe.Extension):
    """It takes the brackets of [`Name`] away, which MkDocs would print."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring:
            obj.docstring.value = REFERENCE.sub(r"\1", obj.docstring.value)
