"""The table of Hugging Face's families, as the documents have it."""

from __future__ import annotations

from capcli.hub.families import FAMILIES


def table() -> str:
    """A row for each family, in Markdown; the heatmap's default method stands first."""
    rows = [
        "| family | for example | parameters | licence | asked by default | heatmaps |",
        "|---|---|---|---|---|---|",
    ]
    names = dict.fromkeys(family.name for family in FAMILIES.values())
    for name in names:
        families = [family for family in FAMILIES.values() if family.name == name]
        examples = {checkpoint: millions for family in families for checkpoint, millions in family.checkpoints.items()}
        prompt = families[0].prompt
        asked = "nothing" if not prompt else f"`{prompt}`"
        size = ", ".join(
            f"{millions} M" if millions < 1000 else f"{millions / 1000:.1f} B" for millions in examples.values()
        )
        methods = ", ".join(f"`{method}`" for method in families[0].methods)
        shown, licence = ", ".join(f"`{checkpoint}`" for checkpoint in examples), families[0].licence
        rows.append(f"| {name} | {shown} | {size} | {licence} | {asked} | {methods} |")
    return "\n" + "\n".join(rows) + "\n"
