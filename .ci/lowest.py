"""The lowest versions that pyproject.toml declares, as constraints for pip.

Given extras as arguments, theirs too. A bound that is no release makes pip fail: it must be true.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
declared = [*project["dependencies"], *(each for extra in sys.argv[1:] for each in extras[extra])]
for requirement in declared:
    found = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement)
    if found is None:
        sys.exit(f"{requirement}: write a dependency as name>=version, so that it can be tried")
    print(f"{found[1]}=={found[2]}")
