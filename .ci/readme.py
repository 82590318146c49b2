"""Make the links of README.md absolute, for PyPI: there is no folder beside a description there.

`python .ci/readme.py v0.1.0` rewrites the file, each link to the tree of that tag. The workflow of
the wheels does so before it builds; what is committed stays relative, and so leads somewhere in any
copy.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HOME = "https://github.com/behemoth-lab/behemoth"
RAW = "https://raw.githubusercontent.com/behemoth-lab/behemoth"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


def absolute(text: str, tag: str) -> str:
    """Give a text with its relative links made absolute: images to the file, others to its page."""

    def link(found: re.Match[str]) -> str:
        image, said, target = found.groups()
        place = f"{RAW}/{tag}" if image else f"{HOME}/blob/{tag}"
        return f"{image}[{said}]({place}/{target})"

    return _LINK.sub(link, text)


if __name__ == "__main__":
    readme = Path(__file__).parents[1] / "README.md"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), sys.argv[1]), encoding="utf-8")
