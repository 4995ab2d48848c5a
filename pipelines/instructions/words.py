"""The English words that the rules for open text know: data only, extended where an instruction is not understood.

Closed classes (pronouns, prepositions) are complete; open ones (adjectives, verbs, places) hold what people ask of
pictures.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRONOUNS = _words("it him her them he she they this that")
POSSESSIVES = _words("its his her their")
DEFINITE = _words("the this that these those my our your")
INDEFINITE = _words("a an")
NUMBERS = _words("one two three four five six seven eight nine ten some several many few")
SELF = _words("subject object selection foreground")
"""Nouns by which a person names the selected subject without saying what it is."""

COLOURS = _words(
    """black white grey gray brown orange turquoise teal cyan magenta beige silver gold bronze maroon navy lilac
    lavender transparent red crimson scarlet blue azure green emerald yellow golden purple violet pink rose"""
)

SIZES = _words("giant enormous gigantic miniature massive small little tiny big large huge")

OPPOSITES = tuple(
    _words(group)
    for group in (
        "old young elderly new modern ancient vintage",
        "happy sad angry cheerful grumpy serious excited scared surprised",
        "wet dry",
        "open closed",
        "fat thin slim skinny chubby muscular",
        "tall short",
        "long short",
        "dark bright light dim",
        "clean dirty muddy",
        "smooth rough",
        "hot cold",
        "beautiful ugly pretty handsome",
        "asleep awake",
        "empty full",
        "broken whole",
        "wide narrow",
        "sharp blurry blurred",
        "wooden metal metallic golden stone glass plastic furry",
    )
)
"""Adjectives that cannot be true together: the one said last takes the other's place."""

ADJECTIVES = (
    COLOURS
    | SIZES
    | frozenset().union(*OPPOSITES)
    | _words(
        """colourful colorful multicoloured multicolored monochrome curly lovely silly oily woolly jolly bald blond
        blonde calm cute dead fast fluffy friendly funny heavy hairy high invisible low lonely loud mean naked neat
        plain proud quiet rich poor rotten round rusty scary shiny simple sleepy slow soft hard spotted square steep
        strange striped strong sweet tiny tired ugly warm weak wild wise worn cartoonish realistic patterned
        checkered glowing burning frozen melting smiling flaming sparkling floating bearded pregnant royal evil
        magical robotic futuristic medieval stormy sunny cloudy rainy snowy foggy misty starry"""
    )
)
ADJECTIVE_ENDINGS = ("y", "ed", "ful", "ish", "less", "ous", "ic", "al", "ive", "able", "ible", "ant", "ent")
"""How an adjective that no list holds is known."""

DEGREES = _words("very really extremely bright dark light pale deep neon pastel")
"""Words that belong to the adjective after them and stay with it."""
HEDGES = (
    *(("a", "little", "bit"), ("a", "bit"), ("a", "little"), ("a", "lot")),
    *((word,) for word in sorted(_words("much slightly somewhat more all completely entirely fully little"))),
)
"""Words before an adjective that say how far to go; a full description has no use for them. Longest first."""

VERBS = _words(
    """bark bite blink blow bow breathe burn catch celebrate chase clap climb cook crawl cry dance dive drink drive eat
    bloom fall fight fish float fly frown gallop glow grin hide hold hop hug hunt jog juggle jump kick kneel knit
    laugh land lay leap lean lick lie listen look march melt meow nod open paint play point pose pray purr raise read
    rest ride roar roll run sail sing sit skate ski sleep smile smoke sneeze snore spin squat stand stare stretch
    surf swim swing talk think throw wag walk wave wear wink work write yawn yell"""
)
POSTURES = _words(
    """standing sitting lying kneeling squatting jumping hopping leaping running walking jogging crawling climbing
    flying swimming diving floating sleeping resting dancing galloping riding driving falling upside"""
)
"""First words of what a body does as a whole: one at a time, the last one said."""
DOUBLED = _words("clap hug hop jog nod run sit skip skid spin squat swim wag wrap knit shut set get cut")
"""Verbs whose last letter is doubled before -ing."""
NOT_DOING = _words(
    """being building ceiling clothing darling duckling earring evening king lightning living morning painting ring
    sibling spring string swing thing wedding wing drawing railing icing sapling"""
)
"""Nouns that end like a verb's -ing."""

SCENE = _words(
    """background backdrop scene scenery setting surroundings environment landscape location place world weather season
    view room"""
)
"""Nouns by which a person names the background as a whole."""
SCENERY = _words(
    """sky ground grass sea ocean water wall walls floor trees clouds cloud mountains hills road street river lake sand
    sun moon stars rainbow buildings fog mist snow rain lightning fireworks leaves snowflakes sunset sunrise field"""
)
"""Nouns that are parts of a background unless they are what the subject is called."""
LANDMARKS = _words("mountain hill building waterfall volcano fence house houses castle tree palms birds")
"""Nouns that stand in a background when they are added; *the house* may as well be the subject."""
WORN = _words(
    """hat cap crown helmet glasses sunglasses scarf tie bow bowtie necklace earrings suit dress shirt t-shirt jacket
    coat sweater hoodie boots shoes gloves mask cape uniform costume backpack armor armour kimono jeans skirt apron
    collar headphones monocle bandana wig tuxedo raincoat"""
)
PARTS = _words(
    """hair fur skin eyes ears nose mouth beard moustache mustache face head tail paws legs arms hands wings horns
    feathers feet mane trunk beak body wheels doors windows roof stripes spots freckles tattoo smile"""
)
"""Parts of a subject: something it is *with*."""
THINGS = _words(
    """dog puppy hound cat kitten kitty rabbit bunny hare elephant giraffe duck mallard penguin turtle tortoise horse
    pony donkey monkey baby lady fairy berry cherry car automobile lorry rocket spaceship apple balloon teddy toy"""
)
"""Nouns of what is often edited, of which some end as an adjective does."""
SYNONYMS = tuple(
    _words(group)
    for group in (
        "dog puppy hound",
        "cat kitten kitty",
        "rabbit bunny hare",
        "duck mallard",
        "turtle tortoise",
        "horse pony",
        "car automobile",
        "rocket spaceship",
    )
)
"""Nouns by which one thing is called."""
MASS = _words("hair fur skin grass water sand snow rain fog mist armor armour clothing fire smoke lightning")
"""Nouns without an article."""
PLURALS = _words("men women people children mice feet geese teeth surroundings")

PLACE_PREPOSITIONS = _words(
    """in on at under among amid inside within beneath below above over near beside by behind between against along
    underneath outside across around"""
)
TOWARDS = {"into": "in", "onto": "on", "inside": "in"}
NOT_A_PLACE = _words("its his her their fire guard")
"""Words after a preposition that speak of the subject itself: ``on its head``, ``on fire``."""
NOT_A_THING = _words(
    """as like so than not no of from with and or if when while which that to more less for everything everyone nothing
    something anything"""
)
"""Words that no noun phrase begins with."""
ADVERBS_OF_PLACE = _words("outside outdoors indoors underwater downtown abroad")

PLACES: dict[str, str] = {
    noun: preposition
    for preposition, nouns in {
        "on": """beach street road moon mountain stage island bridge roof rooftop hill farm lawn boat ship planet mars
            shore coast track field court pier iceberg cliff balcony glacier""",
        "at": """seaside night sunset sunrise dawn dusk noon midnight midday twilight airport zoo office school station
            harbour harbor party concert wedding circus market""",
        "in": """forest woods jungle desert city town village meadow park garden snow space rain fog mist storm winter
            summer autumn spring fall kitchen room bedroom bathroom library museum studio church castle house pool cave
            ocean sea lake river water swamp field landscape countryside sky clouds valley canyon night-club bar
            restaurant cafe hospital prison stadium gym bathtub sunshine sunlight darkness paris london tokyo york
            venice rome egypt africa alley street-market greenhouse temple palace ruins sand grass daylight""",
        "among": "dunes planets flowers trees ruins",
        "under": "stars moonlight rainbow",
    }.items()
    for noun in nouns.split()
}
"""A noun that is a place, time or weather, and the preposition it follows where a person said none."""

ATMOSPHERE = {
    "night": "at night",
    "nighttime": "at night",
    "day": "in daylight",
    "daytime": "in daylight",
    "morning": "in the morning",
    "evening": "in the evening",
    "sunset": "at sunset",
    "sunrise": "at sunrise",
    "dawn": "at dawn",
    "dusk": "at dusk",
    "noon": "at noon",
    "midnight": "at midnight",
    "winter": "in winter",
    "summer": "in summer",
    "autumn": "in autumn",
    "fall": "in autumn",
    "spring": "in spring",
    "rain": "in the rain",
    "rainy": "in the rain",
    "snow": "in the snow",
    "snowy": "in the snow",
    "foggy": "in the fog",
    "misty": "in the mist",
    "sunny": "in the sunshine",
    "stormy": "in a storm",
    "cloudy": "under a cloudy sky",
    "starry": "under a starry sky",
    "raining": "in the rain",
    "snowing": "in the snow",
}
"""Times of day, seasons and weather in one word, as a background says them."""

STYLE = _words(
    """painting photo photograph picture image drawing sketch cartoon watercolour watercolor anime comic illustration
    style render filter colours colors artwork poster collage mosaic"""
)
"""Words for the whole picture's manner, which belongs to neither track: clauses with them are given back unread."""

MAKE = _words("make render have get")
LET = _words("let have watch see")
PUT = _words("put place set move take bring send transport teleport drop position relocate")
PAINT = _words("paint colour color dye tint recolour recolor")
REPLACE = _words("replace swap exchange substitute")
TURN = _words("turn change transform convert switch alter modify")
REMOVE = _words("remove delete erase")
KEEP = _words("keep leave preserve keeping leaving without")
UNCHANGED = _words("the same unchanged as is it intact everything else rest alone changing touching altering")
"""Words of a wish that something stay as it is."""
ADD = _words("add insert include draw")
STATES = {
    "blur": "blurred",
    "darken": "dark",
    "dim": "dim",
    "brighten": "bright",
    "lighten": "light",
    "enlarge": "big",
    "shrink": "small",
    "age": "old",
    "rejuvenate": "young",
    "open": "open",
    "close": "closed",
    "clean": "clean",
}
"""Verbs that name the state they lead to."""

OPENERS = (
    MAKE | LET | PUT | PAINT | REPLACE | TURN | REMOVE | ADD | KEEP | frozenset(STATES) | frozenset(("give", "dress"))
)
"""The words a clause begins with."""
CERTAIN_OPENERS = OPENERS - _words("have watch see get set open close clean age draw colour color without")
"""Those that are seldom part of a description, and so begin a clause behind *and* or a comma."""
ASIDES = (("but",), ("while", "keeping"), ("while", "leaving"), ("without", "changing"), ("without", "touching"))
"""What begins a clause about what is to stay."""
COURTESIES = tuple(
    tuple(phrase.split())
    for phrase in (
        "i would like you to",
        "i'd like you to",
        "i want you to",
        "i would like to",
        "i'd like to",
        "i want to",
        "could you please",
        "can you please",
        "could you",
        "can you",
        "would you",
        "please",
        "kindly",
        "just",
        "also",
        "now",
        "next",
        "finally",
        "lastly",
        "first",
        "firstly",
        "second",
        "secondly",
        "afterwards",
        "later",
        "and",
        "but",
        "while",
        "so",
        "ok",
        "okay",
    )
)
"""What stands before a clause and says nothing about the picture, longest first."""
WISHES = tuple(tuple(p.split()) for p in ("i would like", "i'd like", "i want", "i wish", "let's have", "let's make"))
"""``I want the dog to jump``: what follows is a thing and, after *to*, what it does or is."""
