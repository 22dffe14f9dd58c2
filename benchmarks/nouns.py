"""The nouns that people name pictures by, from sentences alone: a list that keywords are fitted and measured by.

usage: python benchmarks/nouns.py TEXT... -o benchmarks/nouns.txt

A TEXT is a file of sentences or anything `capcli train --data` reads, of which the training split counts. No tagger is
needed: a noun is what often stands between a determiner or an adjective and the end of its phrase ("a dog on", "two
brown dogs in"), and an adjective is what hardly ever ends a phrase. Plurals are folded into singulars. What that lets
through and no picture shows, such as "top" or "group", stands in `NO_KEYWORDS`; mass nouns that it misses, in `MASS`;
words of one meaning, in `SYNONYMS`; two words of one meaning, in `COMPOUNDS`. These four were written by hand, once,
from what the program listed. The file is a vocabulary as `capcli caption --vocabulary` takes it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from capcli.datasets import read_dataset
from capcli.errors import CapcliError
from capcli.keywords.tree import read_tree
from capcli.words.singular import known_form, singulars
from capcli.words.tokens import tokenize


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


LEAST = 40
"""Occurrences of a noun."""

DETERMINERS = word_set(
    """
    a an the his her its their my our your some several many two three four five six few this that these those
    another each every various multiple both
    """
)

FOLLOWERS = word_set(
    """
    of on in at with by near behind beside over under from into onto through along across around next while as
    who that which is are was were for to inside outside during against between among beneath underneath above
    below atop has have wearing standing sitting holding
    """
)
"""What follows the end of a phrase."""

NO_KEYWORDS = word_set(
    """
    group top side other front background couple back middle bunch piece line lot pair row set view way kind
    type sort variety part end edge number area item thing place female male ready left right can cut pose time
    look bit amount size form center bottom distance foreground display use event setting scene base each one
    direction position name shape color colour design pattern style object space surface section range
    collection assortment arrangement stuff attempt action motion shade turn mess process order mid least rest
    run ride jump swing pass hit walk play stand move break take make cover help serve drive show shot appears
    seem looked heard thrown built played had split plain third second first far last own only same entire total
    sub fall start stop lead follow check wake win target land lay let moment speech attention focus
    conversation discussion midst beginning best step rear interior individual human adult teen flight length
    age dozen half pile stack bundle photo picture image photograph photography closeup close-up portrait
    snapshot scenery still mid-air morning afternoon evening night daytime nighttime winter summer light fun
    wild lap stretch activity competition contest tournament routine stunt trick performance presentation
    experience information expression impression message content contents environment condition location region
    supply supplies material product good goods effort lean blond-hair red-hair brunette elderly teenage catch
    throw reach pull push hold kick dive dip drop flip punch tackle spot site mark tip contact sense manner
    height depth weight semi mini double triple home sound medium tan bright dark brown white black blue green
    red yellow pink purple grey gray bare cold hot warm dirty clean busy empty full open stare glance cheer nap
    embrace gesture stance stroll descent huddle mention fair mixture opponent member trio professional official
    fellow native asian feed act accident accessory activities balance belongings ben big bored call case change
    character clearing company complex container contraption convention country course crossing crew day
    daylight december demonstration device difference dusk earth enclosure establishment exercise exhibit
    fashion feature figure formation fenced frame gear glow goal habitat hike hurdle incline ingredient
    instruction intersection job language layer leap lecture load lift main maintenance mass match merchandise
    mouthful nineteen noise note outfit owner pack package past patch path pavement performer period playing
    point portion possession present price produce project purchase record recipe reflection repair rescue
    response result roll round scale score season selection series session setup shadow sight sign-off
    silhouette situation slide slice smile snack something source speed splash spray square stage state stem
    story strike string strip structure substance surrounding surroundings test text task trim trip trouble
    university value venue victory version visit viewer visitor ware wares week wheelie wilderness word words
    work world wrap writing year he she they we us me you someone self here go see try well smiling waits talk
    put appear buy sing love more most ten even fit drag leave dig listen relax return speak swim sliced
    splashing opening covering rolled jumped passed shoot sleep practice powered bicycling sledding hundreds
    needs bad mean beat blur pop volley caged passersby air sale business advertising travel appearance compete
    service system progress preparation destination buys sings landing gathering meeting meet skills bill level
    tow finish community gesturing profile cash camouflage protest horseback peers file joy
    """
)

MASS = word_set(
    """
    broccoli stone wine traffic rice carrot meat concrete cement coffee lettuce juice milk corn candy soap
    bamboo shark trash mushroom person jeans glasses player fire mud wood steel brick spinach cheese chocolate
    cream bacon celery cauliflower fur wheat ivy smoke steam rain snow ice metal leather silverware furniture
    clothing graffiti seaweed sunset ski sandal rocket school passenger tennis soccer hockey karate golf polo
    wrestling cricket rugby gymnastics beef pork ham salmon tofu pasta denim velvet plastic cardboard marble
    moss lightning clothes
    """
)

SYNONYMS = {
    "bicycle": ("bike",),
    "motorcycle": ("motorbike", "motor bike"),
    "plane": ("airplane", "aeroplane"),
    "television": ("tv",),
    "fridge": ("refrigerator",),
    "man": ("guy", "gentleman"),
    "woman": ("lady",),
    "child": ("kid",),
    "mother": ("mom",),
    "father": ("dad",),
    "puppy": ("pup",),
    "kitten": ("kitty",),
    "vegetable": ("veggie",),
    "donut": ("doughnut",),
    "racket": ("racquet",),
    "person": ("human being",),
    "policeman": ("police officer", "cop"),
    "firefighter": ("fireman",),
    "cyclist": ("bicyclist",),
    "couch": ("sofa",),
    "cell phone": ("cellphone", "mobile phone", "smart phone", "smartphone"),
    "traffic light": ("stoplight", "stop light", "traffic signal"),
    "hot dog": ("hotdog",),
    "surfboard": ("surf board",),
    "skateboard": ("skate board",),
    "snowboard": ("snow board",),
    "toothbrush": ("tooth brush",),
    "laptop": ("lap top", "laptop computer"),
    "bathtub": ("bath tub",),
    "bathroom": ("bath room",),
    "countertop": ("counter top",),
    "t-shirt": ("tee shirt",),
    "firetruck": ("fire truck", "fire engine"),
}

COMPOUNDS = """fire hydrant; parking meter; teddy bear; stop sign; tank top; peanut butter; ice cream; polar bear;
    living room; dining room; parking lot; swimming pool; french fries; baseball bat; baseball glove; wine glass;
    tennis racket; tennis court; hair dryer; potted plant; trash can; street sign; street light; christmas tree;
    palm tree; school bus; skate park; hula hoop; life jacket; cutting board; bowling ball; soccer ball;
    stuffed animal; martial arts; clock tower; fighter jet; train station; gas station; hard hat; bow tie;
    sewing machine; grocery store; picnic table; golf ball; golf course; video game; roller coaster; guinea pig;
    sea lion; high chair; water bottle; baseball cap; pickup truck; dump truck; cruise ship; tour bus;
    farmers market; wedding cake; birthday cake; computer monitor; remote control; food truck; bus stop"""


class Nouns:
    """Nouns that are found in sentences.

    Args:
        others: the nouns, each with other words for it; all in lower case and the singular.
    """

    def __init__(self, others: Mapping[str, Sequence[str]]) -> None:
        self.others = dict(others)
        self._noun = {word: noun for noun, words in others.items() for word in (noun, *words)}

    @classmethod
    def read(cls, file: Path = Path(__file__).with_name("nouns.txt")) -> Nouns:
        """The nouns of a file that this program wrote."""
        return cls({entry.name: entry.synonyms for entry in read_tree(file).entries})

    def find(self, sentence: str) -> list[str]:
        """The nouns of a sentence in their order, each once; of two words that are one noun, that one alone."""
        tokens = tokenize(sentence)
        found, place = [], 0
        while place < len(tokens):
            for width in (2, 1):
                form = known_form(" ".join(tokens[place : place + width]), self._noun)
                if form is not None:
                    found.append(self._noun[form])
                    break
            place += width
        return list(dict.fromkeys(found))


def derive(sentences: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The nouns of sentences, the most frequent first, each with other words for it."""
    phrases = [["", *tokenize(sentence), "", ""] for sentence in sentences]
    counts = Counter(word for words in phrases for word in words)
    ends = Counter[str]()
    for words in phrases:
        ends.update(word for _, word in _phrase_ends(words))
    adjectives = {word for word, count in counts.items() if count >= LEAST and ends[word] < 0.06 * count}
    determined, modified = Counter[str](), Counter[str]()
    for words in phrases:
        for before, word in _phrase_ends(words):
            determined[word] += before in DETERMINERS
            modified[word] += before in DETERMINERS or before in adjectives
    known = {
        word
        for word, count in counts.items()
        if count >= LEAST and re.fullmatch("[a-z][a-z-]+", word) and modified[word] >= 0.09 * count
        if determined[word] >= 0.004 * count and word not in DETERMINERS | FOLLOWERS
    }
    return _folded(known | MASS, counts)


def _phrase_ends(words: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Words that end a phrase, each with the one before it."""
    for before, word, after, then in zip(words, words[1:], words[2:], words[3:], strict=False):
        if after in FOLLOWERS or after == "" or (after in ("and", "or") and then in DETERMINERS):
            yield before, word


def _folded(known: set[str], counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """One noun for its plural, its spellings and words of the same meaning."""
    same = {word: noun for noun, words in SYNONYMS.items() for word in words}
    totals = Counter[str]()
    for word in known:
        single = next((singular for singular in singulars(word) if singular in known or singular in NO_KEYWORDS), word)
        if not NO_KEYWORDS & {word, single}:
            totals[same.get(single, single)] += counts[word]
    totals.update(dict.fromkeys((*SYNONYMS, *(" ".join(compound.split()) for compound in COMPOUNDS.split(";"))), 1))
    return {
        noun: tuple(SYNONYMS.get(noun, ())) for noun, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        items = [item for text in options.texts for item in read_dataset(text).split("train")]
    except CapcliError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    nouns = derive(caption for item in items for caption in item.captions)
    lines = (f"{noun} = {', '.join(others)}\n" if others else f"{noun}\n" for noun, others in nouns.items())
    options.output.write_text("".join(lines), encoding="utf-8")
    print(f"{len(nouns):,} nouns")


if __name__ == "__main__":
    main()
