"""A name in the place of the one person that a caption speaks of."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PERSON = _words(
    "adult artist athlete baby bartender batter bicyclist biker boarder boy bride catcher chef child climber clown "
    "cowboy cyclist dancer diver doctor driver farmer fighter firefighter fisherman gentleman girl golfer goalie groom "
    "guitarist guy gymnast hiker infant jogger juggler kid lady man mother musician father officer painter performer "
    "person photographer pitcher player policeman quarterback racer rider runner sailor singer skateboarder skater "
    "skier snowboarder soldier student surfer swimmer teacher teen teenager toddler tourist vendor violinist waiter "
    "waitress woman worker wrestler youth"
)
_SEVERAL = frozenset(f"{word}s" for word in _PERSON) | _words(
    "another anybody audience band boys children class couple crew crowd duo everyone families family friends group "
    "human humans ladies men nobody orchestra others pair parents participants party passengers pedestrians people "
    "police somebody someone spectators team trio twins women"
)
_BEFORE = _words(
    "adult african american asian bald baseball basketball bearded beautiful bike black blond blonde boxing caucasian "
    "dark-haired elderly female football gray-haired happy hockey little lone long-haired male middle-aged motocross "
    "motorcycle muscular old older professional rock rugby shirtless short single small smiling soccer tall tennis "
    "volleyball white young younger"
)
_BEHIND = r"(?=$|[.,;]| (?:\w+(?:ing|ed|s)|and|at|behind|by|for|from|in|near|next|on|to|under|who|with)\b)"
"""What may follow: a jet behind "a fighter" makes it no person."""

_PHRASE = re.compile(
    rf"\b(?:an?|the|one|this) (?:(?:{'|'.join(sorted(_BEFORE))}) ){{0,3}}(?:{'|'.join(sorted(_PERSON))}){_BEHIND}",
    re.IGNORECASE,
)


def put_name(caption: str, name: str) -> str | None:
    """The caption with a name in the place of its person: "A young man in a boat." becomes "Jan Novak in a boat.".

    None unless exactly one word of the caption is a person, one alone, and stands behind an article and nothing but
    words that are known to describe people.
    """
    words = re.findall(r"[a-z]+", caption.lower())
    if sum(word in _PERSON for word in words) != 1 or not _SEVERAL.isdisjoint(words):
        return None
    phrase = _PHRASE.search(caption)
    return None if phrase is None else caption[: phrase.start()] + name + caption[phrase.end() :]
