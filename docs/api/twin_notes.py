"""Docstrings as the site shows them.

`# twin:` sentences as notes, of which Markdown would make headings; examples as code; paragraphs such as "Limits: ..." as
paragraphs, of whose indented lines griffe would make a box.
"""

import re
from typing import Any

from griffe import Extension, Object

NOTE = re.compile(r"^# (twin|No twin): (?=.)", re.MULTILINE)
PARAGRAPH = re.compile(r"^(Limits|Shapes|Source): (.+\n?(?: +\S.*\n?)*)", re.MULTILINE)
INDENT = re.compile(r"\n +")
EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)  # griffe knows this section by its plural


class TwinNotes(Extension):
    """Called by griffe for every object that it has read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            noted = NOTE.sub(lambda found: f"**{found[1].capitalize()}:** ", obj.docstring.value)
            noted = PARAGRAPH.sub(lambda found: f"**{found[1]}.** {INDENT.sub(' ', found[2])}", noted)
            obj.docstring.value = EXAMPLE.sub("Examples:", noted)
