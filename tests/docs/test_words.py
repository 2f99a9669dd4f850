"""The check for words to avoid: it reads texts, and neither names nor code in them."""

from docs.generate import words


def test_texts_are_checked_and_names_are_not() -> None:
    names = 'begun = {"begun": 1}\nx = f"{begun} has begun"\n'
    source = names + '"""A `begun` run.\n\nIt was Begun."""\n'
    assert list(words.found(source, {"begun": "started"})) == [(2, "begun"), (5, "begun")]


def test_each_word_has_a_replacement() -> None:
    assert all(word.strip() and new.strip() for word, new in words.replacements().items())
