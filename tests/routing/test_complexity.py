"""The score: the published table, Turkish folding, stems, and what it says of itself."""

from __future__ import annotations

import statistics
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_ailydian.routing import complexity
from flask_ailydian.routing import folding
from flask_ailydian.routing import lexicon
from flask_ailydian.routing.complexity import Thresholds

LEXICON = lexicon.build(("tr", "en"))
XRAY = "Bu göğüs röntgeninde pnömoni var mı?"
LONG = (
    "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu "
    "arasındaki farkları karşılaştır"
)
TABLE = [("Merhaba", 10, "simple"), (XRAY, 40, "medium"), (LONG, 85, "complex")]
#: What an English keyboard makes of Turkish letters.
KEYBOARD = str.maketrans("çğıöşüÇĞİÖŞÜ", "cgiosuCGIOSU")


def turkish_upper(text: str) -> str:
    return text.translate({ord("i"): "İ", ord("ı"): "I"}).upper()


WRITINGS = {
    "as it is": lambda text: text,
    "Turkish capitals": turkish_upper,
    "plain capitals": str.upper,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "decomposed capitals": lambda text: unicodedata.normalize("NFD", turkish_upper(text)),
    "typed in ASCII": lambda text: text.translate(KEYBOARD),
    "ASCII capitals": lambda text: text.translate(KEYBOARD).upper(),
}


@pytest.mark.parametrize("writing", WRITINGS.values(), ids=WRITINGS)
@pytest.mark.parametrize(("query", "score", "name"), TABLE)
def test_the_table_holds_however_it_is_written(
    query: str, score: int, name: str, writing: object
) -> None:
    assert callable(writing)
    found = complexity.rules(writing(query), LEXICON)
    assert (found.score, found.complexity) == (score, name), found.parts


@pytest.mark.parametrize(
    ("word", "group"),
    [
        ("İLAÇ", "medical"),
        ("ILAC", "medical"),
        ("ilacımızdan", "medical"),
        ("teşhis", "medical"),
        ("teshislerinde", "medical"),
        ("hastalığını", "medical"),
        ("kalbindeki", "medical"),
        ("aşısı", "medical"),
        ("asisi", "medical"),
        ("suçiçeği", "medical"),
        ("davalıların", "legal"),
        ("yasalarımızın", "legal"),
        ("MAHKEMESİNDEN", "legal"),
        ("haczi", "legal"),
        ("karsilastirma", "complex"),
        ("KARŞILAŞTIRILMASI", "complex"),
        ("değerlendirmeni", "complex"),
        ("farkları", "complex"),
        ("analizini", "complex"),
        ("diagnosed", "medical"),
        ("lawyers", "legal"),
        ("comparison", "complex"),
    ],
)
def test_a_stem_is_found_under_its_suffixes(word: str, group: str) -> None:
    assert {p.feature for p in complexity.rules(word, LEXICON).parts} == {"length", group}


OTHERS = """
    yaşam YAŞAM yasam davet davetiye farkında farkındalık farkina asıl ASIL asil aşırı aşım Cezayir
    tanım tanıdık yasak dozer midye icraat lawn patience contractor sanıyorum kalpak
"""


@pytest.mark.parametrize("word", OTHERS.split())
def test_a_word_that_only_begins_alike_is_another_word(word: str) -> None:
    assert [p.feature for p in complexity.rules(word, LEXICON).parts] == ["length"]


@pytest.mark.parametrize(
    ("count", "points"), [(1, 10), (9, 10), (10, 20), (19, 20), (20, 30), (49, 30), (50, 50)]
)
def test_the_bands_of_length_begin_where_they_say(count: int, points: int) -> None:
    assert complexity.rules("söz " * count, LEXICON).score == points


def test_a_keyword_counts_once_however_often_it_stands() -> None:
    assert complexity.rules("analiz analizi analizler", LEXICON).score == 25
    assert complexity.rules("analiz farkı", LEXICON).score == 40
    assert complexity.rules("analiz analysis", LEXICON).score == 25


def test_subject_and_question_add_up() -> None:
    assert complexity.rules("hasta dava açar mı?", LEXICON).score == 10 + 20 + 20 + 10


def test_the_classification_explains_itself() -> None:
    said = complexity.rules(XRAY, LEXICON).to_json()
    assert sum(part["points"] for part in said["parts"]) == said["score"] == 40
    assert said["features"]["wordCount"] == 6 and said["features"]["isQuestion"]
    assert said["profile"] == "tr-v1" and said["rule_version"] == complexity.VERSION
    assert said["thresholds"] == {"simple": 30, "medium": 60}


def test_thresholds_are_the_host_s() -> None:
    found = complexity.rules(XRAY, LEXICON, thresholds=Thresholds(10, 40))
    assert found.complexity == "complex"


def test_a_host_adds_words_and_changes_points() -> None:
    more = {"tr": {"medical": ["protez"]}, "de": {"legal": ["vertrag"], "suffixes": "(?:es|s)?"}}
    own = lexicon.build(("tr",), more)
    assert complexity.rules("protezini", own).score == 30
    assert complexity.rules("Vertrages", own, points={"legal": 50}).score == 60
    assert complexity.rules("protezini", LEXICON).score == 10


def test_the_first_description_can_be_replayed() -> None:
    for query, score, name in TABLE:
        found = complexity.document(query)
        assert (found.score, found.complexity) == (score, name)
    # Bands, +20, +20, +15 for each distinct keyword, +10, to the letter.
    assert complexity.document("söz " * 50 + "hasta dava analiz analiz fark?").score == 130
    # What it got wrong stays wrong in its own profile.
    assert complexity.document("farkında mısın").score == 25
    assert complexity.document("İLAÇ").score == 10


def test_the_bare_word_count_is_a_profile() -> None:
    assert complexity.word_count("bir iki üç").score == 3
    assert complexity.word_count("söz " * 25).complexity == "complex"


ANYTHING = st.text(max_size=300)
TURKISH = st.text(alphabet="abcçdefgğhıijklmnoöprsştuüvyz ", max_size=120)


@given(ANYTHING)
def test_no_text_breaks_it_and_the_parts_make_the_score(text: str) -> None:
    found = complexity.rules(text, LEXICON)
    assert found.score == sum(part.points for part in found.parts) >= 10


@given(ANYTHING)
def test_folding_is_idempotent(text: str) -> None:
    once = folding.canonical(text)
    assert folding.canonical(once) == once


@given(TURKISH)
def test_turkish_capitals_and_decomposition_fold_back(text: str) -> None:
    wanted = folding.canonical(text)
    assert folding.canonical(turkish_upper(text)) == wanted
    assert folding.canonical(unicodedata.normalize("NFD", text)) == wanted


@given(TURKISH)
def test_how_it_is_typed_never_lowers_the_score(text: str) -> None:
    assert (
        complexity.rules(turkish_upper(text), LEXICON).score
        >= complexity.rules(text, LEXICON).score
    )


def test_a_query_takes_less_than_a_fifth_of_a_millisecond() -> None:
    spent = []
    for _ in range(200):
        started = time.perf_counter()
        complexity.rules(LONG, LEXICON)
        spent.append(time.perf_counter() - started)
    assert statistics.median(spent) < 0.0002
