"""Which English words the embedded model knows by heart: irregular forms, words without content, cue phrases."""

from __future__ import annotations


def _pairs(table: str) -> dict[str, str]:
    return {form: base for line in table.split(",") for base, *forms in [line.split()] for form in forms}


# Base form, then the forms that no stemmer brings back to it; and numbers as they are often asked for.
IRREGULAR = _pairs(
    """arise arose arisen, bear bore borne, beat beaten, become became, begin began begun, bend bent, bind bound,
    bite bit bitten, bleed bled, blow blew blown, break broke broken, breed bred, bring brought, build built,
    burn burnt, buy bought, catch caught, choose chose chosen, come came, creep crept, deal dealt, dig dug,
    do did done does, draw drew drawn, drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen,
    feed fed, feel felt, fight fought, find found, flee fled, fly flew flown, forbid forbade forbidden,
    forget forgot forgotten, freeze froze frozen, get got gotten, give gave given, go went gone goes, grow grew grown,
    hang hung, have had has, hear heard, hide hid hidden, hold held, keep kept, know knew known, lay laid, lead led,
    leave left, lend lent, lie lain, lose lost, make made, mean meant, meet met, pay paid, ride rode ridden,
    ring rang rung, rise rose risen, run ran, say said, see saw seen, seek sought, sell sold, send sent,
    shake shook shaken, shine shone, shoot shot, show shown, shrink shrank, sing sang sung, sink sank sunk, sit sat,
    sleep slept, slide slid, speak spoke spoken, spend spent, spin spun, stand stood, steal stole stolen,
    stick stuck, strike struck, swear swore sworn, sweep swept, swim swam swum, swing swung, take took taken,
    teach taught, tear tore torn, tell told, think thought, throw threw thrown, understand understood, wear wore worn,
    weave wove woven, win won, wind wound, withdraw withdrew withdrawn, write wrote written,
    be am is are was were been being, man men, woman women, child children, foot feet, tooth teeth, mouse mice,
    person people persons, life lives, wife wives, leaf leaves, half halves, datum data, medium media, city cities,
    good better best, bad worse worst, large larger largest, big bigger biggest, high higher highest,
    1 one, 2 two, 3 three, 4 four, 5 five, 6 six, 7 seven, 8 eight, 9 nine, 10 ten, 11 eleven, 12 twelve"""
)

# Words that say nothing of what a text is about; question words among them.
FUNCTION_WORDS = frozenset(
    """a about above after again against all also although always am among an and another any anyone anything are
    around as at away back be became because become been before being below between both but by can cannot could did
    do does doing done down during each either else ever every few for from further had has have having he her here
    hers herself him himself his how however i if in instead into is it its itself just kind let like ll made make
    many may me might mine more most much must my myself near neither never next no nor not now of off often on once
    one only onto or other others our ours out over own per perhaps quite rather re s same shall she should since so
    some someone something sort still such t than that the their theirs them themselves then there these they thing
    this those though through thus to together too toward towards type under until up upon us used using ve very via
    was we well were what whatever when where whether which while who whom whose why will with within without would
    yet you your yours yourself""".split()
)

# Openings by which papers and reports announce what they are about.
CUE_PHRASES = (
    "we propose", "we present", "we introduce", "we show", "we describe", "we develop", "we demonstrate", "we study",
    "we find", "we investigate", "we explore", "we provide", "we prove", "we argue", "we analyze", "in this paper",
    "in this work", "this paper", "this work", "this article", "this report", "our method", "our approach",
    "our results", "our model", "in conclusion", "in summary", "to summarize", "overall", "results show",
    "the main", "the key", "the goal", "importantly", "we conclude", "decided", "agreed",
)  # fmt: skip

MONTHS = frozenset("january february march april may june july august september october november december".split())
WEEKDAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
NUMBER_WORDS = frozenset(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million
    millions billion billions trillion dozen dozens half third quarter thirds quarters zero""".split()
)
TIME_NOUNS = frozenset(
    """year years month months week weeks day days hour hours minute minutes second seconds decade decades century
    centuries era period age season spring summer autumn fall winter morning evening night noon midnight ad bc bce
    ce""".split()
)
UNITS = frozenset(
    """percent per-cent mile miles km kilometer kilometers kilometre kilometres meter meters metre metres foot feet
    inch inches acre acres hectare hectares ton tons tonne tonnes pound pounds kg kilogram kilograms gram grams
    dollar dollars euro euros cent cents degree degrees people students members inhabitants volt volts watt watts
    square cubic times yards""".split()
)
DETERMINERS = frozenset("the a an this that these those its his her their our my your some any each every no".split())
PREPOSITIONS = frozenset(
    """of in on at by for with from to into onto over under between among through during after before since until
    against about within without across near toward towards upon via per as like than despite including along around
    behind below above beyond throughout""".split()
)
CONJUNCTIONS = frozenset("and or but nor".split())
CLAUSE_WORDS = frozenset(
    "that which who whom whose where when while because although though if unless so since whether how why".split()
)
PRONOUNS = frozenset("he she it they we i you him them us me there himself itself themselves herself".split())
AUXILIARIES = frozenset(
    """is are was were be been being am has have had do does did will would can could may might must shall should
    not""".split()
)

# What the noun after "what" or "which" asks for.
ASKED_NOUNS = {
    noun: kind
    for kind, nouns in {
        "time": """year years date day month decade century era period time season century""",
        "number": """number amount population percentage percent proportion fraction size age height length
            distance temperature speed rate score total area depth width weight cost price salary income ratio
            average""",
        "person": """person man woman king queen emperor president author scientist inventor architect leader actor
            actress singer artist composer player coach physicist mathematician writer poet director chancellor
            governor mayor bishop pope philosopher ruler explorer historian individual people founder engineer monk
            biologist economist quarterback linebacker politician doctor general reformer""",
        "place": """city country state town county region area place location continent river island province
            village district street nation ocean sea lake mountain neighborhood territory park square building
            capital countries cities states""",
        "group": """company organization group team university school college church agency party band network
            corporation institution government tribe army league club magazine newspaper museum court denomination
            family religion""",
        "name": """name title nickname term word phrase called book film movie song album event war battle award
            language act treaty law document show program series""",
    }.items()
    for noun in nouns.split()
}

# Said without saying anything, and what transcribers write for sounds.
FILLERS = frozenset(
    """
    ah eh er erm hm hmm huh kay kind know like mean mm mmm oh ok okay right sort uh um well yeah yep you
    crosstalk disfmarker gap inaudible laughter pause unintelligible vocalsound
    """.split()
)
