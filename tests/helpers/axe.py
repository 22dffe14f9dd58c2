"""The accessibility rules of axe-core, held against pages in a real browser.

axe-core is a file of JavaScript under the MPL 2.0, and no part of capcli. The variable AXE_CORE names it, as `.ci/run`
takes it from npm where there is npm; else it is that of the Python package axe-core-python, which is older.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chromium import Chromium

_RUN = """
const done = arguments[arguments.length - 1]
axe.run(document, {resultTypes: ["violations"]}).then(
  found => done(found.violations.map(one => [one.id, one.nodes.map(node => node.html + " " + node.failureSummary)])),
  error => done([["axe itself", [String(error)]]]))
"""


def find_axe() -> Path:
    """The file; the test is skipped where there is none."""
    named = os.environ.get("AXE_CORE")
    spec = find_spec("axe_core_python")
    file = Path(named) if named else Path(spec.origin).with_name("axe.min.js") if spec and spec.origin else None
    if file is None or not file.is_file():
        pytest.skip("needs axe-core: pip install axe-core-python, or AXE_CORE=axe.min.js of npm's axe-core")
    return file


def find_violations(browser: Chromium) -> list[Any]:
    """What the page that is shown breaks: rules, and for each the elements and why.

    The rules are all that axe-core has by default: WCAG 2.0 to 2.2, A and AA, and good practice.
    """
    # The driver's scripts are those that the page's own policy does not stop.
    browser.chrome.execute_script(find_axe().read_text(encoding="utf-8"))
    browser.chrome.set_script_timeout(30)
    return list(browser.chrome.execute_async_script(_RUN))
