"""From attention weights to pictures and pages that people look at."""
