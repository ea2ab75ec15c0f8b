import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ray.data.interface import Counts
from optical_ray.data.pair_filter import Pair, PairFilter
from optical_ray.data.scripts import letters_only, normalise, num_words


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a  b\tc", 3),
        ("Où est-il ?", 3),
        ("བོད་ཀྱི་སྐད་ཡིག་ནི་གལ་ཆེན་པོ་ཡིན།", 9),  # Tibetan, Dzongkha: the tsheg ends a syllable
        ("ሰላም፡ለዓለም፡ሁሉ", 3),  # the Ge'ez word space
        ("ሰላም ለዓለም ሁሉ", 3),
        ("សួស្តី\u200bពិភពលោក", 4),  # Khmer with zero-width spaces
        ("မင်္ဂလာပါကမ္ဘာလောက", 5),  # Burmese
        ("ສະບາຍດີຊາວໂລກ", 4),  # Lao
        ("สวัสดีชาวโลก", 3),  # Thai
        ("\ufeffkitabu\u00ad kizuri", 2),
    ],
)
def test_words_are_counted_in_every_script(text: str, count: int) -> None:
    assert num_words(text) == count


@pytest.mark.parametrize("text", ["བོད་ཀྱི་སྐད་ཡིག་", "ሰላም፡ለዓለም፡ሁሉ", "សួស្តី\u200bពិភពលោក", "မင်္ဂလာပါကမ္ဘာ", "ສະບາຍດີຊາວໂລກ"])
def test_sentences_without_spaces_are_not_too_short(text: str) -> None:
    counts = Counts()
    assert list(PairFilter().apply([Pair("good morning to all", text)], counts)) == [Pair("good morning to all", text)]
    assert not counts.dropped


@pytest.mark.parametrize(
    "other",
    [
        "Est-il là , Noël ?",  # a space before punctuation
        "est il là Noël",
        "Est‑il\u00a0là, Noe\u0308l",
        "\ufeffEst\u00ad-il là, Noël?",
        "«Est-il là, Noël?»",
        "\u200fEst-il\u200b là, No\u200dël?\u200c",
        "EST-IL LÀ, NOËL?!",
        "Ｅｓｔ-ｉｌ là, Noël？",
    ],
)
def test_texts_that_differ_in_spaces_and_punctuation_have_the_same_letters(other: str) -> None:
    assert letters_only(other) == letters_only("Est-il là, Noël?")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Noël", "Noel"),
        ("मैं", "में"),  # only a vowel mark differs
        ("١٢", "١٣"),
        ("!", "?"),
        ("😀", "😁"),
    ],
)
def test_letters_digits_and_marks_tell_texts_apart(first: str, second: str) -> None:
    assert letters_only(first) != letters_only(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("می\u200cخواهم", "میخواهم"),  # Persian, zero-width non-joiner
        ("བཀྲ་ཤིས།", "བཀྲ་ཤིས"),
        ("ሰላም፡ለዓለም።", "ሰላም ለዓለም"),
        ("សួស្តី\u200bពិភព", "សួស្តីពិភព"),
        ("क्\u200dष", "क्ष"),
    ],
)
def test_separators_and_joiners_do_not_matter(first: str, second: str) -> None:
    assert letters_only(first) == letters_only(second)


@given(st.text())
def test_only_a_blank_text_has_an_empty_form(text: str) -> None:
    assert (letters_only(text) == "") == (normalise(text) == "")
