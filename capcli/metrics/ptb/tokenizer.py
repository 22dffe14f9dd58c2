"""The Penn Treebank tokenizer of the COCO caption toolkit, without Java.

The toolkit runs `PTBTokenizer -preserveLines -lowerCase` of Stanford CoreNLP 3.4.1 over a file with a caption on
every line, and drops 17 punctuation tokens. Tokens here are the same, token for token, oddities included. There are
three known differences:
- Java has its own way to tell whether a capital sigma becomes final. It shows where a sigma stands in one word with
  digits, underscores, marks or letters of other scripts, as in "\u0391_\u03a3".
- Which of the other capitals have a small letter depends on the Unicode of the Java and of the Python in use. It shows
  in addresses and tags; elsewhere the tokenizer leaves letters out that are so young.
- A caption stays one where the jar begins a new line within it: at a carriage return, a vertical tab, a form feed,
  U+2028 or U+2029. The toolkit removes line feeds alone, and takes all that follows for captions of other images,
  which no figure should rest on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from capcli.metrics.ptb.letters import CAPITALS, DIGITS, LETTERS, MARKS, SYMBOLS
from capcli.metrics.ptb.lexer import Lexer, Rule

# Brackets are listed in capitals, so that those in lower case stay. The metrics' published figures include them.
_PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)

_BEYOND_BASIC_PLANE = re.compile("[\U00010000-\U0010ffff]")


def ptb_tokenize(caption: str) -> list[str]:
    """Lower-cased tokens without punctuation: "The man's dog can't." gives the, man, 's, dog, ca, n't.

    A token may hold white space other than spaces: "1 1/2" is one with a no-break space. The toolkit's BLEU and CIDEr
    split it there; its ROUGE-L does not.
    """
    return ptb_tokenize_lines([caption])[0]


def ptb_tokenize_lines(captions: Iterable[str]) -> list[list[str]]:
    """The tokens of every caption as the toolkit finds them when the captions are tokenized in one run.

    This is not always `ptb_tokenize` of each: the full stop of "vitamin C." is part of the token at the end of the
    text, but not where the next caption begins with "A", and a tag may span captions: of <a b='x and y'> each of two
    captions keeps its part, in the jar as here.
    """
    lines = [caption.replace("\n", " ") for caption in captions]
    if not lines:
        return []
    # To Java, characters beyond the basic plane are two.
    tokens = " ".join(_lexer().scan(_BEYOND_BASIC_PLANE.sub(_surrogates, "\n".join(lines))))
    tokens = tokens.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return [
        [token for token in line.rstrip().split(" ") if token and token not in _PUNCTUATION]
        for line in tokens.lower().split("\n")
    ]


def _surrogates(match: re.Match[str]) -> str:
    high, low = divmod(ord(match[0]) - 0x10000, 0x400)
    return chr(0xD800 + high) + chr(0xDC00 + low)


def _nothing(_: str) -> None:
    return None


def _line_end(lexeme: str) -> str | None:
    return "\n" if "\n" in lexeme else None


def _dashes(_: str) -> str:
    return "--"


def _ellipsis(_: str) -> str:
    return "..."


def _less_than(_: str) -> str:
    return "<"


def _greater_than(_: str) -> str:
    return ">"


def _without_soft_hyphens(lexeme: str) -> str:
    return lexeme.replace("\xad", "") or "-"


def _unbroken(lexeme: str) -> str:
    return lexeme.replace(" ", "\xa0")


def _bracket(lexeme: str) -> str:
    return _BRACKETS[lexeme]


def _parentheses(lexeme: str) -> str:
    return _unbroken(lexeme).replace("(", "-LRB-").replace(")", "-RRB-")


def _ampersand(lexeme: str) -> str:
    return re.sub("&[Aa][Mm][Pp];", "&", lexeme)


def _quotes(lexeme: str) -> str:
    return lexeme.replace("&apos;", "'").replace("&quot;", "''").translate(_QUOTES)


def _fraction(lexeme: str) -> str:
    return _FRACTIONS.get(lexeme, lexeme)


def _currency(lexeme: str) -> str:
    return _CURRENCIES.get(lexeme, lexeme)


def _abbreviation(lexeme: str) -> str:
    # Its full stop also ends the sentence, and is left for the next token.
    return f"{lexeme}."


_BRACKETS = {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}
_QUOTES = str.maketrans(
    dict.fromkeys("\x91\u2018\u201b\u2039", "`")
    | dict.fromkeys("\x92\u2019\u203a", "'")
    | dict.fromkeys("\x93\u201c\xab", "``")
    | dict.fromkeys('\x94\u201d\xbb"', "''")
)
_FRACTIONS = {"\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
_CURRENCIES = {"\xa2": "cents", "\xa3": "#"} | dict.fromkeys("\x80\xa4\u20a0\u20ac", "$")

# Words in (?i:...) also match the long s, the Kelvin sign and the Turkish i; ranges such as [A-Z] stand for themselves.
_APOSTROPHE = r"(?:['\x92\u2019]|(?i:&apos;))"
_QUOTE = rf"(?:{_APOSTROPHE}|[`\x91\u2018\u201b])"
_AMPERSAND = "(?:&|(?i:&amp;))"
_SPACE = r"[ \t\xa0\u2000-\u200a\u3000]"
_LINE_END = r"(?:\r|\r?\n|[\x0b\x0c\u2028\u2029])"
_BLANK = rf"(?:{_SPACE}|{_LINE_END}|\x85)"
_CLAUSE_END = r"[,;:\u3001]"
_DIGIT = rf"[0-9{DIGITS}]"

_LETTER = rf"(?:[A-Za-z{LETTERS}{MARKS}]|&[AEIOUaeiou](?i:acute|grave|uml);)"
_ALPHANUMERIC = rf"(?:{_LETTER}|{_DIGIT})"
_WORD = rf"{_LETTER}{_ALPHANUMERIC}*(?:[.!?]{_LETTER}{_ALPHANUMERIC}*)*"
_CLITIC = rf"{_APOSTROPHE}(?:[DMSdms]|(?i:ll|re|ve))"
_NEGATION = rf"(?i:n){_QUOTE}(?i:t)"

# Letters and digits without marks.
_PLAIN_LETTER = rf"[A-Za-z{LETTERS}]"
_PLAIN = rf"[A-Za-z{LETTERS}0-9{DIGITS}]"
_ELISION = rf"(?:[DLOdlo]{_QUOTE}{_PLAIN})?"
_HYPHENATED = rf"{_ELISION}{_PLAIN}+(?:[-_\u058a\u2010\u2011]{_ELISION}{_PLAIN}+)*"
_WITH_APOSTROPHE = (
    rf"{_APOSTROPHE}(?i:n){_APOSTROPHE}?|{_APOSTROPHE}(?i:cause|em|till?)|{_APOSTROPHE}[2-9]0(?i:s)"
    rf"|[DJLdjl]{_APOSTROPHE}|(?i:dunkin|ol|somethin){_APOSTROPHE}|(?i:o){_QUOTE}(?i:o)"
    r"|(?i:c'mon|cont'd\.|e'er|ev'ry|li'l|nat'l|nor'easter|s'mores)"
    rf"|[A-HJ-XZn]{_QUOTE}{_PLAIN_LETTER}{_PLAIN_LETTER}+"
    rf"|{_PLAIN_LETTER}+[AEIOUYaeiouy]{_QUOTE}[A-Zaeiou]{_PLAIN_LETTER}*"
)

_LONG_ACRONYM = r"(?:[A-Za-z](?:\.[A-Za-z])+|(?i:(?:canada|eu|japan|korean|non|sino)-u\.s|u\.s\.-u\.(?:k|s\.s\.r)))"
_ACRONYM = rf"(?:[A-Za-z]|{_LONG_ACRONYM})"
_ASCII_HYPHENATED = rf"[0-9A-Za-z][0-9A-Za-z.,\xad]*(?:-(?:[0-9A-Za-z\xad]+|{_LONG_ACRONYM}\.))+"
_CAPITALS_JOINED = r"[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+"
_SLASHED = r"[0-9A-Za-z]+(?:-[A-Za-z]+){0,2}(?:\\?/[0-9A-Za-z]+(?:-[A-Za-z]+){0,2}){1,2}"

_TITLE = (
    r"(?:(?i:a\.k\.a|adj|adm|adv|alex|assoc|asst|attys?|ave|brig|capt|cf|cie|cmdr|col|comdr|cpl|dept|det|drs?|elec|ens|ft"
    r"|gen|govs?|hon|insp|invt|jos|lieut|lt|maj|messrs|mlle|mme|mrs?|ms|msgr|mt|natl|pfc|ph|pres|profs?|pvt|reps?|rev"
    r"|sens?|sfc|sgt|spc|ste?|supts?|treas|vs|wm)|(?i:m)[ft](?i:g))"
)
# May be the last word of a sentence. Those that are also words need a capital.
_ABBREVIATION = (
    r"(?:(?i:al|ala|apr|ariz|assn|aug|bancorp|bhd|bldg|blvd|bros|calif|colo|conn|corp|cos?|ct|dak|dec|ed\.d|esq|est|etc"
    r"|ext|feb|fla|fri|ga|inc|ind|intl|jan|jr|jul|jun|kans?|ky|ltd|mar|md|mich|minn|mo|mon|mont|neb|nev|nov|oct|okla|penn"
    r"|ph\.d|plc|rd|rt|sept?|seq|sq|sr|sys|tel|tenn|thu|thurs|tue|tues|univ|va|vt|wed|wisc?|wyo)|(?i:pp?t)[ey](?i:s?)"
    r"|[A](?i:rk|z)|[D](?i:el)|[I](?i:ll)|[L](?i:a)|[M](?i:ass|iss)|[O](?i:re)|[P](?i:a)|[T](?i:ex)|[W](?i:ash))"
)
_BEFORE_NUMBERS = r"(?i:art|bldg|ca|figs?|nos?|op|pp|prop)\."
_SENTENCE_START = (
    r"(?:[A]|[A](?i:bout|ccording|dditionally|fter|n|s|t)|[B](?i:ut)|[E](?i:arlier)|[H](?i:e|er|ere|owever)"
    r"|[I](?i:f|n|t)|[L](?i:ast)|[M](?i:any|ore|r\.|s\.)|[N](?i:ow)|[O](?i:nce|ne|ther|ur)|[S](?i:he|ince|o|ome|uch)"
    r"|[T](?i:hat|he|heir|hen|here|hese|hey|his)|[W](?i:e|hat|hen|hile)|[Y](?i:et|ou))"
)

_TAG_NAME = r"[A-Za-z][-.0-9:A-Z_a-z]*"
_TAG = (
    rf"<(?:[!?][-A-Za-z][^>\r\n]*|/{_TAG_NAME}[ ]*"
    rf"|{_TAG_NAME}(?:[ ]+{_TAG_NAME}(?:[ ]*=[ ]*(?:'[^']*'|\"[^\"]*\"))?)*[ ]*/?[ ]*)>"
)
_URL = r"(?i:https?)://[^ \t\n\f\r\"<>|(){}]+[^ \t\n\f\r\"<>|.!?(){},-]"
# The range from comma to underscore is a slip of the original: names of hosts get no digits, capitals, or slashes.
_HOST = (
    r"(?:(?i:www)\.(?:[^ \t\n\f\r\"<>|.!?(){},]+\.)+[A-Za-z]{2,4}"
    r"|(?:[^ \t\n\f\r\"`'<>|.!?(){},-_$]+\.)+(?i:com|edu|net|org))"
    r"(?:/[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-])?"
)
_EMAIL = (
    r"(?:<|(?i:&lt;))?[0-9A-Za-z][^ \t\n\f\r\"<>|(){}\xa0]*"
    r"@(?:[^ \t\n\f\r\"<>|(){}.\xa0]+\.)*[^ \t\n\f\r\"<>|(){}.\xa0]+(?:>|(?i:&gt;))?"
)
_FILE = (
    rf"{_ALPHANUMERIC}+(?:\.{_ALPHANUMERIC}+)*\.(?i:bat|bmp|c|class|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov"
    r"|mp3|pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip)"
)

_NUMBER = rf"[-+]?(?:{_DIGIT}+|{_DIGIT}*(?:[.:,\xad\u066b\u066c]{_DIGIT}+)+)"
_DATE = rf"{_DIGIT}{{1,2}}[-/]{_DIGIT}{{1,2}}[-/]{_DIGIT}{{2,4}}"
_FRACTION = rf"(?:{_DIGIT}{{1,4}}[- \xa0])?{_DIGIT}{{1,4}}(?:\\?/|\u2044){_DIGIT}{{1,4}}"
_PHONE = (
    r"(?:\([0-9]{2,3}\)[ \xa0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \xa0])?[0-9]{2,4}[- \xa0])[0-9]{3,4}[- \xa0]?[0-9]{3,5}"
    r"|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"
)
_SMILEY = r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]"
# The first face is a slip: in the original's notation, "~<" is anything up to "<".
_FACE = (
    r"[\^x=~<>]\.\[\^(?i:x)=[^<]*<>\]|[-\^x=~<>']_[-\^x=~<>']"
    r"|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)"
)
_FULL_STOP = rf"\.{_BLANK}+(?:{_SENTENCE_START}|{_TAG}){_BLANK}"
_ASSIMILATIONS = {"can": "not", "gim": "me", "gon": "na", "got": "ta", "lem": "me", "wan": "na", "'t": "is|was"}

# The first of equally long matches counts.
_RULES = (
    *(Rule(f"(?i:{word})", str, f"(?i:{next_word})") for word, next_word in _ASSIMILATIONS.items()),
    Rule(_TAG, _unbroken),
    Rule(r"[\x96\x97\u2013-\u2015]|(?i:&(?:md|mdash|ndash);)", _dashes),
    Rule("(?i:&amp;)", _ampersand),
    Rule("&(?:(?i:cdq|ht|lr|odq|qc|ql|qr|tl|ur)|#[0-9]+);", str),
    Rule(rf"{_SPACE}+|(?i:&nbsp;)|[\0\x7f\u200b\u200e\u200f\ufeff]", _nothing),
    Rule(_LINE_END, _line_end),
    Rule("<|(?i:&lt;)", _less_than),
    Rule(">|(?i:&gt;)", _greater_than),
    Rule("<<|>>", str),
    Rule(_WORD, _without_soft_hyphens, _CLITIC),
    Rule(r"[A-Za-z\xad]*[A-MO-Za-mo-z]\xad*", _without_soft_hyphens, _NEGATION),
    Rule(_WORD, _without_soft_hyphens),
    Rule(_WITH_APOSTROPHE, str),
    Rule(rf"[Yy]{_APOSTROPHE}", str, _PLAIN_LETTER),
    Rule(_URL, str),
    Rule(_HOST, str),
    Rule(_EMAIL, str),
    Rule(rf"@[A-Z_a-z][0-9A-Z_a-z]*|#{_LETTER}+", str),
    Rule(rf"{_CLITIC}|{_NEGATION}", _quotes, "[^A-Za-z]"),
    Rule("'", _quotes, r"[A-Za-z][^ \t\n\r\xa0]"),
    Rule(rf"{_CLITIC}|{_NEGATION}", _quotes),
    Rule(_DATE, str),
    Rule(_NUMBER, _without_soft_hyphens),
    Rule(r"[\u207a\u207b\u208a\u208b]?(?:[\xb2\xb3\xb9\u2070\u2074-\u2079]+|[\u2080-\u2089]+)", str),
    Rule(_FRACTION, _unbroken),
    Rule(r"[\xbc-\xbe\u2153-\u215e]", _fraction),
    Rule(
        rf"(?i:-[lr][crs]b-|anti-|c\.d\.s|pro-)|(?i:s){_AMPERSAND}(?i:ls|p-500)"
        rf"|(?i:c){_APOSTROPHE}(?i:est)|(?i:cap){_APOSTROPHE}(?i:n)",
        _ampersand,
    ),
    Rule(r"[CFcf]#|[Cc]\+\+", str),
    Rule(_PHONE, _parentheses),
    Rule(r"[A-Z]*\$|#+", str),
    Rule(r"[\x80\xa2-\xa5\u060b\u0e3f\u20a0\u20a4\u20ac\uffe0\uffe1\uffe5\uffe6]", _currency),
    Rule(rf"{_ACRONYM}\.", str),
    Rule(_CAPITALS_JOINED, _ampersand),
    Rule(rf"{_CAPITALS_JOINED}\.", _ampersand, _CLAUSE_END),
    Rule(rf"{_WORD}\.", _without_soft_hyphens, _CLAUSE_END),
    Rule(_ABBREVIATION, _abbreviation, rf"\.{_BLANK}(?:{_BLANK}|[{CAPITALS}]|{_TAG})"),
    Rule(_ABBREVIATION, _abbreviation, r"\."),
    Rule(rf"{_ABBREVIATION}\.", str, r"[\s\S]{2}"),
    Rule(_FILE, str, rf"{_BLANK}|[.?!,]"),
    Rule(r"(?i:co|pt[ey])\.", str, f"{_SPACE}(?i:lim|ltd)"),
    Rule(_LONG_ACRONYM, str, _BLANK),
    Rule("[A-Za-z]", str, _FULL_STOP),
    Rule(_LONG_ACRONYM, _abbreviation, _FULL_STOP),
    Rule(_BEFORE_NUMBERS, str, f"{_BLANK}?{_DIGIT}"),
    Rule(rf"{_TITLE}\.", str),
    Rule(rf"{_APOSTROPHE}[0-9]{{2}}", str, _BLANK),
    Rule('"|(?i:&quot;)', _quotes, "[$0-9A-Za-z]"),
    Rule(_SMILEY, _parentheses, "[^0-9A-Za-z]"),
    Rule(_FACE, _parentheses),
    Rule(_SLASHED, str),
    Rule(_ASCII_HYPHENATED, _without_soft_hyphens),
    Rule(_HYPHENATED, str),
    Rule(rf"{_ASCII_HYPHENATED}\.", _without_soft_hyphens, _CLAUSE_END),
    Rule(rf"{_HYPHENATED}\.", str, _CLAUSE_END),
    Rule(r"[(){}\[\]]", _bracket),
    Rule(r"[\"']|''|[`\x91-\x94\u2018-\u201f\u2039\u203a\xab\xbb]{1,2}|(?i:&(?:apos|quot);)", _quotes),
    Rule(r"[\x85\u2026]|\.{3,5}|(?:\.[ \xa0]){2,4}\.", _ellipsis),
    Rule("-{1,4}", _dashes),
    Rule("-----+", str),
    Rule(r"\*+|(?:\\\*){1,3}", str),
    Rule(rf"[!?]+|@+|_+|[%&+,./:;=\\\^|~\u2044\u207a\u207b\u208a\u208b\u3001{SYMBOLS}]", str),
)


@cache
def _lexer() -> Lexer:
    return Lexer(_RULES)
