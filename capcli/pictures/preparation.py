"""How pictures become what a model sees."""

PREPARATION = 1
"""Number of the rules by which pixels are prepared.

Raise it with a change that gives other pixels for some picture: no run then goes on, unasked, with results of pictures
that were prepared by other rules.
"""
