from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capcli.metrics.java import Unavailable, find_jar, find_java
from capcli.metrics.ptb.tokenizer import ptb_tokenize, ptb_tokenize_lines

# What the jar gives, without the punctuation that the toolkit drops.
FIXED = [
    ("A child in a pink dress .", "a child in a pink dress"),
    ("Two dogs\u2019 toys", "two dogs toys"),
    ("naïve café", "naïve café"),
    ("na\u0131ve cafe\u0301", "na\u0131ve cafe\u0301"),
    (
        "\u043a\u043e\u0448\u043a\u0430 \u0438 \u0441\u043e\u0431\u0430\u043a\u0430.",
        "\u043a\u043e\u0448\u043a\u0430 \u0438 \u0441\u043e\u0431\u0430\u043a\u0430",
    ),
    ("\u732b\u3068\u72ac\u3002", "\u732b\u3068\u72ac \u3002"),
    ("\u0642\u0637\u0629 \u0648\u0643\u0644\u0628\u061f", "\u0642\u0637\u0629 \u0648\u0643\u0644\u0628 \u061f"),
    ("Yahoo! is what?Really", "yahoo is what?really"),
    ("soft\xadhyphen and \xad alone", "softhyphen and alone"),
    ("caf&eacute; &amp; bar &lt;b&gt;", "caf&eacute; & bar < b >"),
    ("Cannot, gonna, WANNA gotta lemme gimme", "can not gon na wan na got ta lem me gim me"),
    ("\u0130stanbul \u017fong \u212aelvin", "i\u0307stanbul \u017fong kelvin"),
    ("The man's dog can't.", "the man 's dog ca n't"),
    ("I'm they'RE we\u2019ve she'll he'd it&apos;s", "i 'm they 're we 've she 'll he 'd it 's"),
    ("don\u2018t won`t ain't", "do n`t wo n`t ai n't"),
    ("n't 's", "n't 's"),
    ("'tis 'twas 'Tis", "'t is 't was 't is"),
    ("rock'n'roll o'clock y'all d'ye ol' O'Neill", "rock 'n' roll o'clock y' all d'ye ol' o'neill"),
    ("c'mon li'l ev'ry cont'd. ma'am", "c'mon li'l ev'ry cont'd. ma'am"),
    ("'em 'n' 'til 'cause '90s '08 ", "'em 'n' 'til 'cause '90s '08"),
    ("the boys' and 'the girls'", "the boys and the girls"),
    ("O'B l'eau d'accord bird's-eye-view", "o b l'eau d'accord bird 's eye-view"),
    ("Y'all n'est C'est Cap'n", "y' all n'est c'est cap'n"),
    ("\u201cquoted\u201d \u2018single\u2019 \xabguillemets\xbb \u2039x\u203a", "quoted single guillemets x"),
    ("\"double\" ''latex`` ``x''", "double latex x"),
    ("\u201a low \u201e quotes \u201f", "\u201a low \u201e quotes \u201f"),
    ("\u201c\u201d x \u2018\u201d", "``'' x `''"),
    ("&quot;a&quot; &apos;b&apos; &QUOT;c", "a b &quot; c"),
    ("5' 6\" tall", "5 6 tall"),
    ("\x93cp1252\x94 it\x92s", "cp1252 it 's"),
    ("a - b -- c --- d ---- e ----- f", "a b c d e ----- f"),
    ("a\u2013b \u2014 c\u2010d \u2011 \u2212", "a b c\u2010d \u2212"),
    ("black-and-white T-shirt co-op, e-mail.", "black-and-white t-shirt co-op e-mail"),
    ("anti-war pro-life -LRB- -rsb-", "anti-war pro-life -lrb- -rsb-"),
    ("&mdash; &ndash; &hellip;", "& hellip"),
    ("wait... what.... no.....  yes. . . end", "wait what no yes end"),
    ("\u2026 \x85 ..", ""),
    ("U.S. flag, U.S.A. and the U.K.", "u.s. flag u.s.a. and the u.k."),
    ("Plan B. The end", "plan b the end"),
    ("vitamin C.", "vitamin c."),
    ("Mr. Smith, Dr. No vs. St. Nick et al. etc.", "mr. smith dr. no vs. st. nick et al. etc."),
    ("at 5 p.m. He left at 6 a.m. sharp", "at 5 p.m. he left at 6 a.m. sharp"),
    ("Acme Inc. Ltd. Co. Ltd", "acme inc. ltd. co. ltd"),
    ("No. 5 pp. 3 fig. 2 no.", "no. 5 pp. 3 fig. 2 no"),
    ("Jan. Ill. ill. Mass. mass.", "jan. ill. ill mass. mass"),
    ("e.g. i.e. a.k.a. Ph.D. Ed.D.", "e.g. i.e. a.k.a. ph.d. ed.d."),
    ("the end etc", "the end etc"),
    ("3,000 1.5 -2 +3 .5 1:30 12:43", "3,000 1.5 -2 +3 .5 1:30 12:43"),
    ("1/2 1 1/2 22 3/4 1\u20442 \xbd \u2153 \u215b 1\xbd", "1/2 1\xa01/2 22\xa03/4 1\u20442 1/2 1/3 \u215b 1 1/2"),
    ("$5 \xa35 \u20ac5 \xa55 5\xa2 US$20 C$1", "$ 5 # 5 $ 5 \xa5 5 5 cents us$ 20 c$ 1"),
    (
        "20% 30\xb0 10\u2032 x\xb2 H\u2082O m\u207b\xb2 #1 No.1",
        "20 % 30 \xb0 10 \u2032 x \xb2 h \u2082 o m \u207b\xb2 # 1 no. 1",
    ),
    ("12/25/2010 3-4-99 2010-12-25", "12/25/2010 3-4-99 2010-12-25"),
    ("1st 2nd 3D 4x4 747s 5'6", "1st 2nd 3d 4x4 747s 5 6"),
    (
        "555-1234 (555) 555-1234 +1 555 555-1234 020 7946 0958",
        "555-1234 -lrb-555-rrb-\xa0555-1234 +1 555\xa0555-1234\xa0020 7946 0958",
    ),
    ("\u0663\u066b\u0665 \uff11\uff12", "\u0663\u066b\u0665 \uff11\uff12"),
    (
        "http://a.com/b?c=d. see www.example.com, example.com/x",
        "http://a.com/b?c=d see www.example.com example.com / x",
    ),
    ("me@example.com <me@x.org> @user #tag #tag1 @", "me@example.com <me@x.org> @user #tag #tag 1 @"),
    ("file.txt, a.jpg. b.html?", "file.txt a.jpg b.html"),
    ("and/or AT&T R&D b&b S&P-500 A&amp;B", "and/or at&t r&d b & b s&p-500 a&b"),
    ("C++ C# F# *** \\* a\\b a_b __ ~", "c++ c# f# *** \\* a \\ b a_b __ ~"),
    (
        '<b>bold</b> <br /> <a href="x y">z</a> <!-- c -->',
        '<b> bold </b> <br\xa0/> <a\xa0href="x\xa0y"> z </a> <!--\xa0c\xa0-->',
    ),
    ("< b > << >> <3 <= =>", "< b > << >> < 3 < = = >"),
    ("(a) [b] {c}", "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-"),
    (":) ;-) :D 8) :( ^_^ (-_-) =) <3 x_x", ":-rrb- ;--rrb- :d 8 -rrb- :-lrb- ^_^ -lrb--_--rrb- =-rrb- < 3 x_x"),
    ("&nbsp;a&#39;b&copy;", "a &#39; b & copy"),
    ("!? !! ?! ;; ,, ::", "!? !! ?!"),
    ("a\xa0b\u2003c\u3000d\te", "a b c d e"),
    ("\u200bzero\u200d width\ufeff", "zero width"),
    ("emoji \U0001f600 \U0001f469\u200d\U0001f467 x", "emoji x"),
    ("\x01\x7f control\x02s", "control s"),
    ("\u2603 \xa9 \xae \u2122 \xb7 \u2022 \xd7", "\u2603 \xa9 \xae \u2122 \xb7 \u2022 \xd7"),
    ("\u4e00\u4e8c \u3042\u3044 \ud55c\uae00", "\u4e00\u4e8c \u3042\u3044 \ud55c\uae00"),
    (
        "\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940",
        "\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940",
    ),
    ("http://a\xa0--", "http://a\xa0"),
    ("", ""),
    (" . , ", ""),
]


@pytest.mark.parametrize(("caption", "tokens"), FIXED)
def test_tokens_of_the_toolkit(caption: str, tokens: str) -> None:
    assert ptb_tokenize(caption) == [token for token in tokens.split(" ") if token]


@pytest.mark.parametrize(
    ("captions", "tokens"),
    [
        (["vitamin C.", "A dog"], [["vitamin", "c"], ["a", "dog"]]),
        (["vitamin C.", "Dogs"], [["vitamin", "c."], ["dogs"]]),
        (["the U.S.", "The dog"], [["the", "u.s."], ["the", "dog"]]),
        (["a sign, no.", "5 dogs"], [["a", "sign", "no."], ["5", "dogs"]]),
        (['<a b="', '">'], [['<a\xa0b="'], ['">']]),
        (["a\nb", "c\rd\u2028e\r", "f"], [["a", "b"], ["c", "d", "e"], ["f"]]),
        (["", "a", ""], [[], ["a"], []]),
    ],
)
def test_the_next_caption_can_matter(captions: list[str], tokens: list[list[str]]) -> None:
    assert ptb_tokenize_lines(captions) == tokens


@pytest.mark.parametrize(
    ("caption", "python"),
    [
        ("\u0391_\u03a3", "\u03b1_\u03c3"),  # Java: a final sigma
        ("http://a/\u2c2f", "http://a/" + "\u2c2f".lower()),  # Java 17: unchanged
    ],
)
def test_what_differs_from_java(caption: str, python: str) -> None:
    assert ptb_tokenize(caption) == [python]


@given(st.text() | st.text("abcnst'-.,()&#$%<>=\"/@: 0123456789;\xa0\u2019\U0001f600", max_size=40))
@example("\ud800")
@example("\ud83d\ude00")
def test_any_text_has_tokens_in_lower_case_without_spaces(caption: str) -> None:
    tokens = ptb_tokenize(caption)
    for token in tokens:
        assert token
        assert " " not in token
        assert token == token.lower()


@given(st.lists(st.text() | st.text("a<>/=b'\"!-@. \n\r\x0b\u2028^x[]", max_size=12), max_size=4))
def test_every_caption_has_its_tokens(captions: list[str]) -> None:
    assert len(ptb_tokenize_lines(captions)) == len(captions)


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1)))
@example(["cannot"])
def test_plain_words_are_tokens_again(words: list[str]) -> None:
    tokens = ptb_tokenize(" ".join(words))
    assert "".join(tokens) == "".join(words)
    assert ptb_tokenize(" ".join(tokens)) == tokens


def test_a_very_long_word_is_one_token() -> None:
    assert ptb_tokenize("A" * 20_000) == ["a" * 20_000]


# Every piece ends or begins some rule; gluing them makes those compete.
PIECES = """
A The Two dogs man's can't won`t I'M we\u2019ve she'LL it&apos;s 'tis 'Twas y'all d'ye o'clock rock'n'roll ol' 'n' 'em
ma'am c'mon O'Neill l'eau Cap'n cannot GONNA wanna gotta gimme lemme n't 's 'd '90s '08 5'6" bird's-eye-view dogs'
t-shirt co-op e-mail. black-and-white anti- pro-life a.m. p.m U.S. U.S.A., u.k. Canada-U.S. e.g., i.e. a.k.a. etc. et
al. Mr. Mrs. Dr. St. Inc. Co. Ltd. Pty. Ltd Jan. Sept. Ill. ill. Mass. no. No. 5 pp. 3 fig. vs. Ph.D. Ed.D B. C. x.
B.A wait... .... .. . . . \u2026 \x85 - -- --- ----- \u2013 \u2014 \u2010 \u2011 \u2212 _ __ a_b \u201c \u201d \u2018
\u2019 \u201a \u201e \xab \xbb \u2039 \u203a " '' `` ` ' &quot; &apos; \x91 \x94 3,000 1.5 -2 +3 .5 1:30 12/25/2010
3-4-99 1/2 1\xa01/2 1\u20442 \xbd \u2153 \u215b 20% 30\xb0 x\xb2 \u2082 \u207b\xb9 #1 1st 4x4 $5 US$ \xa35 5\xa2
\u20ac \xa5 555-1234 (555) +1 555.123.4567 020 7946 0958 http://a.com/b?c=d. https://x www.example.com, b.org/x,
me@example.com <me@x.org> @user #tag #tag1 ## @ file.txt a.jpg. b.html? .com and/or a\\/b AT&T R&D b&b S&P-500 A&amp;B
A+B C++ C# * *** \\* \\ / | ~ ^ = % & + && == <b> </b> <br /> <a\thref="x"> <!--c--> < > << >> <3 &lt; &gt; &amp;
&nbsp; &eacute; &#39; &copy; &mdash; &HT; ( ) [ ] { } :) ;-( :D =P 8) ^_^ (-_-) x_x !? !! ? ! , ; : :: \u3001 \u3002
\xa1 \xbf caf\xe9 cafe\u0301 na\u0131ve \u0130 \u017f \u212a \u043a\u043e\u0448\u043a\u0430 \u0642\u0637\u0629
\u0663\u066b\u0665 \u061f \u732b\u3068\u72ac \ud55c\uae00 \u0939\u093f\u0928 \u0e44\u0e17\u0e22 \uff11\uff12 \uff03
\ufb01 so\xadft \xad \xa0 \u2003 \u3000 \u200b \u200d \ufeff \x01 \x7f \x80 \u2603 \u2122 \xa9 \u24b6 \u2160 \xb7
\u2022 \xd7 \U0001f600 \U0001f469\u200d\U0001f467 \U0001d400 \ue000 \uffff
""".replace("\n", " ").split(" ")
SEPARATORS = ["", "", " ", " ", " ", "  ", "\t", ".", ",", "'", "-", ". ", ", "]
RANGES = [(0x20, 0x7F), (0x80, 0x250), (0x300, 0x700), (0x2000, 0x2200), (0x20, 0x10000), (0x1F300, 0x1F700)]
# The jar begins a new line at line ends, which takes tokens to other captions. On capital sigmas it is known to differ.
COMPARABLE = str.maketrans(dict.fromkeys("\n\r\x0b\x0c\u2028\u2029", " ") | {"\u03a3": "\u03c3"})


def nasty(generator: random.Random) -> str:
    caption = ""
    for _ in range(generator.randint(1, 10)):
        kind = generator.random()
        if kind < 0.8:
            piece = generator.choice(PIECES)
        elif kind < 0.98:
            first, last = generator.choice(RANGES)
            piece = "".join(chr(generator.randrange(first, last)) for _ in range(generator.randint(1, 4)))
        else:
            piece = generator.choice(PIECES) * generator.randint(2, 60)
        change = generator.choice([str, str, str, str.upper, str.title, str.lower])
        caption += change(piece) + generator.choice(SEPARATORS)
    caption = "".join(character for character in caption if not "\ud800" <= character <= "\udfff")
    return caption.translate(COMPARABLE)


@pytest.fixture
def jar() -> tuple[Path, Path]:
    """Java, and the toolkit's tokenizer."""
    try:
        return find_java(), find_jar("tokenizer/stanford-corenlp-3.4.1.jar")
    except Unavailable as reason:
        pytest.skip(f"the toolkit's tokenizer {reason}")


@pytest.mark.java
@pytest.mark.parametrize("seed", [5])
def test_equal_to_the_jar_on_nasty_captions(jar: tuple[Path, Path], seed: int, tmp_path: Path) -> None:
    generator = random.Random(seed)
    captions = [nasty(generator) for _ in range(5000)]
    theirs = tokens_of_the_jar(jar, captions, tmp_path / "captions.txt")
    ours = ptb_tokenize_lines(captions)
    assert len(theirs) == len(ours)
    assert [triple for triple in zip(captions, theirs, ours, strict=True) if triple[1] != triple[2]] == []


@pytest.mark.java
@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\u2028", "\u2029"])
def test_a_caption_stays_one_where_the_jar_begins_a_new_line(jar: tuple[Path, Path], end: str, tmp_path: Path) -> None:
    captions = [f"a{end}b", "c"]
    assert tokens_of_the_jar(jar, captions, tmp_path / "captions.txt") == [["a"], ["b"], ["c"]]
    assert ptb_tokenize_lines(captions) == [["a", "b"], ["c"]]


@pytest.mark.java
def test_a_tag_over_two_captions_is_the_jars(jar: tuple[Path, Path], tmp_path: Path) -> None:
    captions = ["A cat <i b='x", "y'> sleeps", "<a b=''", "> A dog"]
    assert tokens_of_the_jar(jar, captions, tmp_path / "captions.txt") == ptb_tokenize_lines(captions)


def tokens_of_the_jar(jar: tuple[Path, Path], captions: list[str], file: Path) -> list[list[str]]:
    from pycocoevalcap.tokenizer import ptbtokenizer

    file.write_bytes("\n".join(captions).encode())
    java, classes = map(str, jar)
    command = [java, "-Dfile.encoding=UTF-8", "-cp", classes, "edu.stanford.nlp.process.PTBTokenizer"]
    run = subprocess.run([*command, "-preserveLines", "-lowerCase", str(file)], capture_output=True, check=True)
    lines = run.stdout.decode().replace("\r\n", "\n").split("\n")
    return [
        [word for word in line.rstrip().split(" ") if word and word not in ptbtokenizer.PUNCTUATIONS] for line in lines
    ]
