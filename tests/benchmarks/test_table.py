"""The comparison table of recipes, and what the documents have of it."""

from __future__ import annotations

import table


def test_the_page_has_the_tables_of_the_results_and_the_version_of_base() -> None:
    runs = [row for row in table.read_rows(table.RESULTS) if "recipe" in row and "judged" not in row]
    page = (table.DOCS / "benchmarks" / "recipes.md").read_text(encoding="utf-8")
    objectives = table.added(runs)
    assert objectives in page
    assert "| `base` of capcli 0.1.0 | 1 |" in objectives
    assert page.count("| `base` of capcli 0.1.0 | 1 |") == 2
